/** What whoever calls the offline commands may get wrong: the message names file, line, reason and fix, and no password. */
import t from "tap";
import { inject } from "../../src/commands/inject.ts";
import { UsageError } from "../../src/commands/options.ts";
import { ManifestError } from "../../src/manifests/document.ts";
import { deployment, files, injected } from "./injecting.ts";

const MISTAKES: Readonly<Record<string, readonly [text: string | Buffer, message: RegExp]>> = {
  "not YAML": ["a: 1\nb: [s3cret\nc: 2\n", /stream.yaml:3: not YAML: Flow sequence .*; correct the line/],
  "JSON values without a separator": [
    '{"a": 1}\n{"a": "s3cret"}\n',
    /stream.yaml:2: not YAML: .*separate documents by ---/,
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
  "a number as env": [
    deployment.replace("value: 10.0.0.5", "value: 0644"),
    /spec.containers\[0\].env\[0\].value: .*string/,
  ],
};
for (const [name, [text, message]] of Object.entries(MISTAKES)) {
  t.test(`mistake: ${name}`, async (t) => {
    const error = await injected(t, text).catch((thrown: unknown) => thrown);
    if (!(error instanceof UsageError || error instanceof ManifestError)) throw error;
    t.match(error.message, message);
    t.notMatch(error.message, /s3cret/);
  });
}

t.test("mistakes in files", async (t) => {
  await t.rejects(injected(t, "", "mode: enforced\n"), {
    message: /config.yaml is not a valid config:\n {2}mode: "enforced" is none of/,
  });
  const none = { out: () => undefined, err: () => undefined };
  const { file, config } = files(t, "");
  await t.rejects(inject({ file: "-", config: "-", namespace: "a" }, none), {
    message: /cannot both be standard input/,
  });
  await t.rejects(inject({ file: "/nowhere.yaml", config, namespace: "a" }, none), {
    message: /cannot read \/nowhere.yaml: ENOENT.*; check the path, or use -/,
  });
  await t.rejects(inject({ file, config: "/nowhere.yaml", namespace: "a" }, none), {
    message: /cannot read \/nowhere.yaml: ENOENT.*; name the config with --config/,
  });
});
