import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";
import { parse } from "yaml";
import { generated } from "../docs/generated.ts";
import { reasons } from "../src/core/reasons.ts";
import { root } from "./program.ts";

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const pages = readdirSync(join(root, "docs"))
  .filter((name) => name.endsWith(".md"))
  .map((name) => `docs/${name}`);

t.test("pages that are made from the code are current: npm run docs", async (t) => {
  for (const [name, text] of Object.entries(await generated())) t.equal(read(`docs/${name}`), text, name);
  for (const code of Object.keys(reasons)) t.match(read("docs/reasons.md"), `\`${code}\``);
});

t.test("the reference describes every key", async (t) => {
  const keys = read("docs/reference.md")
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));
  t.ok(keys.length > 40);
  for (const [, key = "", , , what] of keys) t.ok(what, key);
});

/** As GitHub names a heading. */
const anchors = (page: string): readonly string[] =>
  [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );

t.test("every link has its page and heading", async (t) => {
  for (const page of [
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "certs/README.md",
    "deploy/function/README.md",
    "deploy/knative/README.md",
    "deploy/helm/flowgen-gateway-webhook/README.md",
    ...pages,
  ]) {
    for (const [, link = ""] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const [path = "", anchor] = link.split("#");
      const file = path === "" ? page : join(dirname(page), path);
      t.ok(existsSync(join(root, file)), `${page}: ${link}`);
      if (anchor !== undefined) t.ok(anchors(read(file)).includes(anchor), `${page}: ${link}`);
    }
  }
});

t.test("every alert has a runbook", async (t) => {
  const { groups } = parse(read("deploy/grafana/alerts.yaml")) as {
    groups: { rules: { alert: string; annotations: { runbook_url: string } }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  t.ok(rules.length > 0);
  for (const { alert, annotations } of rules) {
    const [, file = "", anchor = ""] = /\/blob\/main\/([^#]+)#(.+)$/.exec(annotations.runbook_url) ?? [];
    t.ok(anchors(read(file)).includes(anchor), alert);
  }
});

t.test("the threat model names tests that exist", async (t) => {
  const named = [...read("docs/threat-model.md").matchAll(/`(test\/[^`]+\.ts)`/g)].map(([, path = ""]) => path);
  t.ok(named.length > 5);
  for (const path of named) t.ok(existsSync(join(root, path)), path);
});
