/**
 * The README's commands run as they are written, with the described result. test/deploy/readme.test.ts has those that
 * need a cluster.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { parse } from "yaml";
import { readConfig } from "../src/core/config/config.ts";
import { planPod } from "../src/core/plan.ts";
import { configOf, podOf } from "./making.ts";
import { blocks, commandsOf, readPage, runBlock } from "./readme-blocks.ts";
import { plainEnv, root } from "./program.ts";

const readme = blocks(readPage("README.md"));
const commands = readme.filter(({ language }) => language === "sh").flatMap(commandsOf);
const env = plainEnv();

t.jobs = 3;

/** The output of each command that is run here. */
const PRINTS: Readonly<Record<string, RegExp>> = {
  "npm run demo": /All as it should be/,
  "npm run -s flowgen-gateway -- audit": /inject {3}injected[^]*reject {3}target-forbidden/,
  "npm run -s flowgen-gateway -- inject": /^# A flowgen flow[^]*kind: CronJob[^]*flowgen.io\/gateway-status/,
};

t.test("every block is run or read: shell or YAML, nothing else", async (t) => {
  t.strictSame([...new Set(readme.map(({ language }) => language))].sort(), ["sh", "yaml"]);
  const runners = new Set(commands.map(({ runBy }) => runBy));
  t.strictSame([...runners].sort(), ["cluster", "gate", "node"]);
});

t.test("the gate runs the commands that would run this test again", async (t) => {
  const lines = readFileSync(join(root, ".ci/run"), "utf8")
    .split("\n")
    .map((line) => line.trim());
  for (const { text } of commands.filter(({ runBy }) => runBy === "gate")) t.ok(lines.includes(text), text);
});

for (const command of commands.filter(({ runBy }) => runBy === "node")) {
  t.test(command.text, { buffered: true }, async (t) => {
    const ended = await runBlock(command, env);
    t.equal(ended.code, command.code, ended.stderr);
    const [, prints] = Object.entries(PRINTS).find(([start]) => command.text.startsWith(start)) ?? [];
    t.ok(prints, "it is known what it prints");
    t.match(ended.stdout, prints ?? /$^/);
  });
}

t.test("blocks of YAML are valid", async (t) => {
  const shown = readme
    .filter(({ language }) => language === "yaml")
    .map(({ text }) => parse(text) as Readonly<Record<string, unknown>>);
  const configs = shown.filter((each) => "gateways" in each);
  t.equal(configs.length, 1);
  for (const each of configs) t.match(readConfig(JSON.stringify(each)), { kind: "config" });
  const annotations = shown.filter((each) => "flowgen.io/private-targets" in each) as Readonly<
    Record<string, string>
  >[];
  t.equal(annotations.length + configs.length, shown.length);
  const config = configOf(JSON.stringify(configs[0]));
  for (const each of annotations) {
    const plan = planPod(podOf(undefined, {}, each), "team-a", config);
    t.match(plan, { kind: "plan", wants: [{ redirect: "hostAlias" }, { redirect: "hostAlias" }] });
  }
});

t.test("a command that no test runs is an error, and an exit code is read from the comment", async (t) => {
  const [block] = blocks("# x\n\n```sh\nnpm run demo && npx x # exit code 1: y\n```\n");
  t.match(block, { language: "sh", line: 4 });
  t.throws(() => block && commandsOf(block), /no test runs this command: npx x/);
  const [other] = blocks("```sh\nhelm a \\\n  b # exit code 3: c\nkubectl d # e\n```\n");
  t.strictSame(other && commandsOf(other), [
    { text: "helm a    b", code: 3, runBy: "cluster" },
    { text: "kubectl d", code: 0, runBy: "cluster" },
  ]);
});
