/** Documents that `inject` does not change come out to the last byte. */
import t from "tap";
import { injected } from "./injecting.ts";

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
spec:
  replicas: 012
  template:
    metadata: {labels: {app: x, release: '1.10'}}
    spec:
      containers: [{name: x, image: "x:1.10", args: [0644, 1e3, 12345678901234567890, yes, 2024-01-01, ~]}]
`;

const streams = {
  "an empty stream": "",
  "a blank line": "\n",
  "comments only": "# nothing here\n\n# at all",
  "empty documents": "---\n---\n# x\n---\n...\n---\n",
  "no final newline": "a: 1",
  "blank lines at the end": "a: 1\n\n\n",
  "CRLF, tabs and trailing blanks": "a: 1 \r\n---\r\nb:   \t2\t\r\n\r\n",
  "a byte order mark": "\uFEFF# x\na: 1\n",
  "document markers": "%YAML 1.2\n---\na: 1\n...\n# between\n---  # start\nb: 2\n...\n",
  "numbers, yes and no, timestamps":
    "a: 0644\nb: 1e3\nc: 12345678901234567890\nd: yes\ne: No\nf: 2024-01-01T00:00:00Z\ng: 1_000\nh: .5\n",
  "anchors, aliases, merges, tags": "a: &a {x: 1}\nb: *a\nc: {<<: *a, y: !!str 2}\nd: !custom [1, 2]\n",
  "quotes and folds":
    "a: 'it''s'\nb: \"\\u00e9\"\nc: >-\n  folded\n  text\n\nd: |+\n  kept\n\n\ne: plain\n  on two lines\n",
  "keys that are not text": "1: a\n? [x, y]\n: b\n? {}\n: c\ntrue: d\nnull: e\n",
  "scalars and lists as documents": "--- text\n--- [1, 2]\n--- \n- a\n",
  "other kinds and CRDs":
    "kind: CustomResourceDefinition\nspec: {a: [ 1,2 ]}\n---\nkind: Service\nmetadata:   {name:   x}\n---\nkind: [1]\n---\nkind: List\nitems: none\n",
  "another group's Job": `apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nspec: {template: {metadata: {annotations: {flowgen.io/private-targets: "a=10.0.0.5:1"}}}}\n`,
  "a Deployment that asks for nothing": deployment,
  "a Deployment without a template":
    "kind: Deployment\nmetadata: {name: x}\nspec: {replicas: 3}\n---\nkind: Deployment\nspec:\n  template:\n",
  "a List of things": "kind: List\nitems:\n- kind: Service\n- 1\n- kind: ConfigMap\n  data: {a: 'b'}\n- kind: [x]\n",
  JSON: '{"kind":"Service",  "metadata" : {"name":"x"},\n\t"n": 1.0, "big": 12345678901234567890}',
  "a JSON list": "[1, 2,\n 3]\n",
};

for (const [name, text] of Object.entries(streams)) {
  t.test(name, async (t) => {
    t.strictSame(await injected(t, text), { code: 0, out: text, err: "" });
  });
}

t.test("beside a workload that changes, other documents keep every byte", async (t) => {
  const before = streams["quotes and folds"] + "---\n" + deployment + "--- # ours\n";
  const ours = `kind: Pod
metadata: {name: p, labels: {app.kubernetes.io/name: flowgen}, annotations: {flowgen.io/private-targets: "db=10.0.0.5:1433"}}
spec: {containers: [{name: a, env: [{name: DB_HOST, value: 10.0.0.5}]}]}
`;
  const after = "...\n# end\n---\n" + streams["CRLF, tabs and trailing blanks"];
  const { out, code } = await injected(t, before + ours + after);
  t.equal(code, 0);
  t.ok(out.startsWith(before));
  t.ok(out.endsWith(after));
});
