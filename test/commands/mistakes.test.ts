/** Mistakes in calls of the offline commands: the message names file, line, reason and fix, and no password. */
import { join } from "node:path";
import t from "tap";
import { inject, type InjectOptions } from "../../src/commands/inject/inject.ts";
import { UsageError } from "../../src/commands/options/options.ts";
import { CONFIG, deployment, files, injected, other } from "./injecting.ts";

const OPTIONS = {
  kustomize: [],
  recursive: false,
  failOn: "reject",
  diff: false,
  output: "manifests",
  gateway: false,
} as const;

const MISTAKES: Readonly<Record<string, readonly [text: string | Buffer, message: RegExp]>> = {
  "not YAML": ["a: 1\nb: [s3cret\nc: 2\n", /stream.yaml:3: not YAML: Flow sequence .*; correct the line/],
  "JSON values without a separator": [
    '{"a": 1} {"a": "s3cret"}\n',
    /stream.yaml:1: not YAML: .*separate documents by ---/,
  ],
  "a bad escape": ['a: "\\q s3cret"\n', /stream.yaml:1: not YAML: Invalid escape sequence \\q;/],
  "a key twice": ["a: 1\na: 2\n", /stream.yaml:2: not YAML: Map keys must be unique/],
  "an alias to nowhere": ["a: 1\nb: *x\n", /stream.yaml:2: an alias names an anchor that is not above it/],
  "an alias in its own anchor": ["a: 1\nb: &b [*b]\n", /stream.yaml:2: an alias stands inside its own anchor/],
  "an alias bomb": [
    "a: &a [x, x, x, x, x, x, x, x, x, x]\n" +
      "b c d e f g"
        .split(" ")
        .map(
          (key, i) =>
            `${key}: &${key} [${Array(10)
              .fill(`*${"abcdef"[i] ?? ""}`)
              .join()}]\n`,
        )
        .join(""),
    /stream.yaml:1: aliases expand to too much/,
  ],
  "deeper than anybody writes": ["[".repeat(20_000), /stream.yaml: nested too deeply/],
  "not UTF-8": [Buffer.from([0x61, 0x3a, 0x20, 0xff]), /stream.yaml: it is not UTF-8; convert it/],
  "not a pod": [
    `kind: Service\n---\n${deployment.replace(/containers:[^]*/, "containers: s3cret\n")}`,
    /stream.yaml:14: Deployment team-a\/x is not a valid workload: spec.template.spec.containers: not a list/,
  ],
  "not even a map": [
    "kind: Pod\nspec: {}\n---\nkind: Deployment\nspec: {template: 1}\n",
    /stream.yaml:2: Pod team-a\/\(no name\) is not a valid workload: /,
  ],
  "a map where a text belongs": [
    deployment.replace(/private-targets: .*/, "private-targets: db: 10.0.0.5:1433"),
    /stream.yaml:\d+: not YAML: Nested mappings are not allowed .*; put a value that holds ": " in quotes/,
  ],
  "a list where a text belongs": [
    deployment.replace(/private-targets: .*/, "private-targets: [{name: db, targetHost: 10.0.0.5, targetPort: 1433}]"),
    /annotations.flowgen.io\/private-targets: not a text: an annotation is a text: write `\|` after the key, or put the list in quotes/,
  ],
  "a number as env": [
    deployment.replace("value: 10.0.0.5", "value: 0644"),
    /spec.containers\[0\].env\[0\].value: .*string/,
  ],
};
for (const [name, [text, message]] of Object.entries(MISTAKES)) {
  t.test(`mistake: ${name}`, async (t) => {
    const { code, err } = await injected(t, text);
    t.equal(code, 2);
    t.match(err, message);
    t.notMatch(err, /s3cret/);
  });
}

t.test("one bad document does not hide the others, nor a bad file another", async (t) => {
  const bad = "---\na: [\n";
  const { code, out, err } = await injected(t, `${deployment}${bad}---\n${other}`);
  t.equal(code, 2);
  t.match(err, /^stream.yaml:21: not YAML: .*\n$/);
  t.equal(out, (await injected(t, `${deployment}---\n${other}`)).out);
  const folder = t.testdir({ "a.yaml": Buffer.from([0xff]), "b.yaml": deployment, "config.yaml": CONFIG });
  let [printed, said] = ["", ""];
  const output = { out: (text: string) => void (printed += text), err: (text: string) => void (said += text) };
  const options = { ...OPTIONS, namespace: "a", config: join(folder, "config.yaml") };
  const file = [join(folder, "a.yaml"), join(folder, "b.yaml")];
  t.equal(await inject({ ...options, namespace: "team-a", file }, output), 2);
  t.match(said, /^cannot read .*a.yaml: it is not UTF-8; convert it/);
  t.match(printed, "flowgen.io/gateway-status");
});

t.test("a workload that asks for targets and names no namespace", async (t) => {
  const nowhere = { namespace: "" };
  const { code, out, err } = await injected(t, deployment, CONFIG, nowhere);
  t.strictSame([code, out], [2, ""]);
  t.match(err, /^stream.yaml:10: Deployment x: the manifest names no namespace, .*: name it with -n\n$/);
  const silent = deployment.replace(/^.*private-targets.*\n/m, "");
  t.strictSame(await injected(t, silent, CONFIG, nowhere), { code: 0, out: silent, err: "" });
});

t.test("mistakes in files", async (t) => {
  await t.rejects(injected(t, "", "mode: enforced\n"), {
    message: /config.yaml is not a valid config:\n {2}mode: "enforced" is none of/,
  });
  const none = { out: () => undefined, err: () => undefined };
  const options = { ...files(t, ""), ...OPTIONS };
  const mistakes: readonly (readonly [Partial<InjectOptions>, RegExp])[] = [
    [{ file: ["-"], config: "-" }, /cannot both be standard input/],
    [{ file: [] }, /no manifests: name them with -f or -k/],
    [{ file: ["/nowhere.yaml"] }, /cannot read \/nowhere.yaml: ENOENT.*; check the path, or use -/],
    [
      { file: ["/nowhere"], config: "/nowhere.yaml" },
      /^cannot read the config \/nowhere.yaml: there is no such file; check the path$/,
    ],
  ];
  for (const [mistake, message] of mistakes) {
    const error = await inject({ ...options, ...mistake }, none).catch((thrown: unknown) => thrown);
    t.ok(error instanceof UsageError);
    t.match(error, { message });
  }
});
