/**
 * In any style of YAML, `inject` changes the fields of the patch alone. Its output can be read, and a second run
 * changes nothing.
 */
import t from "tap";
import { Lexer, stringify } from "yaml";
import { documentsOf, expected, injected } from "./injecting.ts";

const ask = `flowgen.io/private-targets: "db=10.0.0.5:1433, pg=10.0.0.6:5432"`;
const pod = (labels: string, env: string): string =>
  `kind: Pod\nmetadata:\n  labels: ${labels}\n  annotations: {${ask}}\nspec:\n  containers:\n  - name: a\n    env: ${env}\n`;
const flowgen = "{app.kubernetes.io/name: flowgen}";

const STYLES: Readonly<Record<string, string>> = {
  "flow lists and maps": pod(flowgen, "[{name: A, value: 10.0.0.5}, {name: B, value: x}]"),
  "flow on several lines": pod(
    "{\n    app.kubernetes.io/name: flowgen, # ours\n  }",
    "[\n      {name: B, value: x},\n      {name: C},\n    ]",
  ),
  "an empty list": pod(flowgen, "[]"),
  "an empty list and a comment": pod(flowgen, "[] # none"),
  "no list": pod(flowgen, ""),
  "no list but a comment": pod(flowgen, "# none"),
  "no list, but comments on several lines": pod(flowgen, "# none yet\n    # the team adds some\n").replace(
    "kind",
    "# head\nkind",
  ),
  null: pod(flowgen, "~"),
  "flow items in a block list": pod(flowgen, "\n    # about B\n    - {name: B, value: x}"),
  "a list on the line of its dash": pod(flowgen, "\n    - value: x\n      name: B\n\n    # the end\n"),
  "anchored first item": pod(flowgen, "[&b {name: B, value: x}, {name: C, value: y}]"),
  "anchored empty labels in a later alias":
    pod(flowgen, "&e []").replace("kind: Pod", "kind: Pod\nx: &x {y: 1}") + "  - {name: b, env: *e}\nz: *x\n",
  "labels out of an anchor": `x: &l {app.kubernetes.io/name: flowgen}\n${pod("*l # shared", "[]")}`,
  "a merge in labels": `x: &l {app.kubernetes.io/name: flowgen, tier: a}\n${pod("\n    <<: *l\n    tier: b", "[]")}y: {<<: *l}\n`,
  "a merge of several": `x: &l {app.kubernetes.io/name: flowgen}\ny: &m {tier: a}\n${pod("{<<: [*m, *l, {z: '1'}]}", "[]")}`,
  "a forged label among others": pod(
    "\n    target.flowgen.io/x: 'true'\n    app.kubernetes.io/name: flowgen\n    target.flowgen.io/y: 'true' # forged",
    "[]",
  ),
  "many forged labels": pod(
    `\n    app.kubernetes.io/name: flowgen\n${[1, 2, 3, 4, 5].map((n) => `    target.flowgen.io/f${n}: "true"\n`).join("")}`,
    "[]",
  ),
  "many forged labels in a flow map": pod(
    `{a: b, target.flowgen.io/f1: x, target.flowgen.io/f2: x, app.kubernetes.io/name: flowgen, target.flowgen.io/f3: x, target.flowgen.io/f4: x, target.flowgen.io/f5: x}`,
    "[]",
  ),
  "a forged label out of a merge": `x: &l {app.kubernetes.io/name: flowgen, target.flowgen.io/x: "true"}\n${pod("{<<: *l}", "[]")}`,
  "explicit keys": pod(
    "\n    ? app.kubernetes.io/name\n    : flowgen",
    "\n    - ? name\n      : A\n      ? value\n      : 10.0.0.5",
  ),
  "a whole template out of an anchor": `apiVersion: apps/v1\nkind: Deployment\nx-pod: &pod\n  metadata:\n    labels: ${flowgen}\n    annotations: {${ask}}\n  spec:\n    containers:\n    - name: a\n      image: |\n        long\n      ports: [{containerPort: 0644}]\nspec:\n  template: *pod\n`,
  "a container out of an anchor": pod(flowgen, "[{name: A, value: 10.0.0.5}]")
    .replace("  - name: a", "  - *c\n  - name: a")
    .replace("kind: Pod", "kind: Pod\nx: &c\n  name: z\n  n: 1e3\n  env:\n  - name: A\n    value: 10.0.0.5"),
  "an env that is an alias": pod(flowgen, "[{name: A, value: *a}]").replace("kind: Pod", "kind: Pod\nx: &a 10.0.0.5"),
  quotes: pod(flowgen, `[{name: A, value: "10.0.0.5"}, {name: B, value: 'postgres://u:it''s@10.0.0.6:5432/x'}]`),
  "plain and folded on several lines": pod(
    flowgen,
    "\n    - name: A\n      value:\n        10.0.0.5\n    - name: B\n      value: >-\n        10.0.0.6\n    - name: C\n      value: |-\n        10.0.0.6 # no comment\n",
  ),
  CRLF: pod(
    flowgen,
    "\n    - name: A\n      value: 10.0.0.5\n    - name: B\n      valueFrom:\n        x: y\n",
  ).replaceAll("\n", "\r\n"),
  "no final newline": pod(flowgen, "\n    - name: A\n      value: 10.0.0.5").trimEnd(),
  "a kept block at the end": pod(
    flowgen,
    "\n    - name: A\n      value: x\n    - name: B\n      value: |+\n        10.0.0.6\n\n",
  ),
  tags: pod("!!map {app.kubernetes.io/name: !!str flowgen}", "!!seq\n    - name: A\n      value: !!str 10.0.0.5"),
  "a directive": `%YAML 1.1\n---\n${pod(flowgen, "[{name: A, value: 10.0.0.5}]")}ready: yes\n...\n`,
  "null fields": pod(
    flowgen,
    "\n    - name: A\n      value:\n    - name: B\n      value: 10.0.0.5\n      valueFrom: ~",
  ),
  JSON: JSON.stringify({ ...documentsOf(pod(flowgen, "[]"))[0] }),
  "JSON with tabs": `\uFEFF${JSON.stringify(documentsOf(pod(flowgen, "[{name: A, value: 10.0.0.5}]"))[0], undefined, "\t")}\n\n`,
  "JSON with CRLF": JSON.stringify(documentsOf(pod(flowgen, "[]"))[0], undefined, 2).replaceAll("\n", "\r\n"),
  "a JSON list of a kind": JSON.stringify(
    { kind: "PodList", items: [documentsOf(pod(flowgen, "[]"))[0]] },
    undefined,
    1,
  ),
};

/** The text of each comment, in order; a `#` within a value is none. */
const commentsOf = (text: string): readonly string[] =>
  [...new Lexer().lex(text)].filter((token) => token.startsWith("#")).map((token) => token.trimEnd());

for (const [name, text] of Object.entries(STYLES)) {
  t.test(name, async (t) => {
    const { code, out } = await injected(t, text);
    t.equal(code, 0);
    const isList = name.includes("list of a kind");
    if (name.startsWith("JSON") || name.includes("JSON")) {
      const value = JSON.parse(out.replace("\uFEFF", "")) as { items: unknown[] };
      if (!isList) t.strictSame(value, await expected(text));
      t.equal(/\r\n/.test(out), name.includes("CRLF"));
    } else t.strictSame(documentsOf(out)[0], await expected(text));
    const again = await injected(t, out);
    t.strictSame(again.out, out, "idempotent");
    t.strictSame(commentsOf(out), commentsOf(text), "comments stay");
  });
}

t.test("a typed list may leave out the kind of its items", async (t) => {
  const item = documentsOf(pod(flowgen, "[]").replace("kind: Pod\n", ""))[0];
  const { out } = await injected(t, stringify({ kind: "PodList", items: [item, { kind: "PodList", items: [item] }] }));
  const [first] = documentsOf(out);
  t.match(first, {
    items: [
      { metadata: { labels: { "target.flowgen.io/db": "true" } } },
      { items: [{ metadata: { labels: { "target.flowgen.io/db": "true" } } }] },
    ],
  });
});
