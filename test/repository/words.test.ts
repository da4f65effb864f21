import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { root } from "../program.ts";
import { commentSentences, pageSentences, scriptSentences, type Sentence, testNames, wordsOf } from "./prose.ts";

const MOST_WORDS = 25;
/** Pronouns and pictures for which the field has a word, such as "a caller" or "holds". */
const AVOIDED = /\b(ours|somebody|anybody|nobody|for ever|whoever|whatever|whichever|told|tells?|leads?|led)\b/i;
const AVOIDED_FIRST = /^(What|Who) (?!.*\?)/;
/** A name of a test begins with a small letter. */
const AVOIDED_IN_NAME = /^(\d+\. )?(what|who) /;

/** Files and folders whose comments and pages are held to it. */
const CHECKED = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "certs/README.md",
  "deploy/function/README.md",
  "deploy/knative/README.md",
  "docs/annotations.md",
  "docs/messages.md",
  "docs/operations.md",
  "docs/scale.md",
  "docs/gateway.md",
  "docs/migration.md",
  "docs/threat-model.md",
  "CHANGELOG.md",
  "docs/runbooks.md",
  "deploy/helm/flowgen-gateway-webhook/templates",
  "deploy/helm/flowgen-gateway-webhook/values.yaml",
  "deploy/knative",
  "build.ts",
  "bundle.ts",
  "release.ts",
  "deploy/image/fill-compile-cache.ts",
  "docs/chart-schema.ts",
  "docs/generate.ts",
  "docs/generated.ts",
  "docs/markdown.ts",
  "docs/shapes.ts",
  "docs/telemetry.ts",
  "src/admit.ts",
  "src/files.ts",
  "src/function.ts",
  "src/main.ts",
  "src/scripts.ts",
  "src/certificates",
  "src/checks",
  "src/cluster",
  "src/commands",
  "src/core",
  "src/emulator",
  "src/gateway",
  "src/manifests",
  "src/provisioning",
  "src/server",
  "test",
];

const filesOf = (path: string): readonly string[] =>
  statSync(join(root, path)).isDirectory()
    ? readdirSync(join(root, path), { recursive: true, encoding: "utf8" })
        .filter((name) => (path.startsWith("deploy/") ? /\.yaml$/ : /\.(ts|sh)$/).test(name))
        .map((name) => join(path, name))
    : [path];

const sentencesIn = (file: string, text: string): readonly Sentence[] => {
  if (file.endsWith(".md")) return pageSentences(text);
  return file.endsWith(".ts") ? commentSentences(text) : scriptSentences(text);
};

const faultOf = (sentence: Sentence): string | undefined => {
  const words = wordsOf(sentence);
  if (words > MOST_WORDS) return `${words} words: ${sentence.text}`;
  const avoided = AVOIDED.exec(sentence.text) ?? AVOIDED_FIRST.exec(sentence.text);
  return avoided ? `"${avoided[0].trim()}": ${sentence.text}` : undefined;
};

t.test("a text is split into its sentences", async (t) => {
  const code = "/** One sentence, `a. B`. Another: why. */\nconst a = 1; // not read\n// A third\n// one.\n";
  t.strictSame(commentSentences(code), [
    { line: 1, text: "One sentence, `code`." },
    { line: 1, text: "Another: why." },
    { line: 3, text: "A third one." },
  ]);
  const script = "#!/bin/sh\n# shellcheck shell=sh\n# a.sh: one.\n# Two.\nset -u # not read\n";
  t.strictSame(scriptSentences(script), [
    { line: 3, text: "a.sh: one." },
    { line: 3, text: "Two." },
  ]);
  const page = "# Head\n\nOne. Two\nlines.\n\n- an item\n- [a](b.md)\n\n```sh\nno. text\n```\n\n| a | b |\n";
  t.strictSame(
    pageSentences(page).map(({ text }) => text),
    ["One.", "Two lines.", "- an item", "- [a]", "a", "b"],
  );
  const table = "// Ways:\n//\n//   one  the first\n//   two  the second\n// End.\n";
  t.strictSame(
    commentSentences(table).map(({ text }) => text),
    ["Ways:", "one the first", "two the second", "End."],
  );
  const tests = 't.test("one", f);\nawait t.test(\n  `two ${a}`, f);\n';
  t.strictSame(testNames(tests), [
    { line: 1, text: "one" },
    { line: 2, text: "two ${a}" },
  ]);
  t.equal(faultOf({ line: 1, text: "a ".repeat(25).trim() }), undefined);
  t.match(faultOf({ line: 1, text: "a ".repeat(26).trim() }), /^26 words/);
  t.match(faultOf({ line: 1, text: "What it does." }), /^"What"/);
});

t.test("names of tests have none of the words to avoid", async (t) => {
  const names = filesOf("test").flatMap((file) =>
    testNames(readFileSync(join(root, file), "utf8")).map((name) => ({ file, ...name })),
  );
  t.ok(names.length > 900, `${names.length} names`);
  const faulty = names.filter(({ text }) => AVOIDED.test(text) || AVOIDED_IN_NAME.test(text));
  for (const { file, line, text } of faulty) t.fail(`${file}:${line}: ${text}`);
});

t.test(`sentences have at most ${MOST_WORDS} words, and none of the words to avoid`, async (t) => {
  let count = 0;
  for (const file of CHECKED.flatMap(filesOf)) {
    const text = readFileSync(join(root, file), "utf8");
    for (const sentence of sentencesIn(file, text)) {
      count += 1;
      const fault = faultOf(sentence);
      if (fault !== undefined) t.fail(`${file}:${sentence.line}: ${fault}`);
    }
  }
  t.ok(count > 1000, `${count} sentences`);
});
