/** Where manifests come from: files, folders, kustomizations; each finding has its file and line. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { inject, type InjectOptions } from "../../src/commands/inject/inject.ts";
import { joint } from "../../src/manifests/join.ts";
import { setEnv } from "../environment.ts";
import { deployment, documentsOf, files, other } from "./injecting.ts";

/** Runs in the folder of these files; paths are below it. */
const run = async (t: Test, tree: Readonly<Record<string, string>>, options: Partial<InjectOptions>) => {
  const base = files(t, "");
  const folder = dirname(base.config);
  for (const [name, text] of Object.entries(tree)) {
    mkdirSync(dirname(join(folder, "m", name)), { recursive: true });
    writeFileSync(join(folder, "m", name), text);
  }
  const below = (paths: readonly string[] = []): readonly string[] => paths.map((path) => join(folder, "m", path));
  let [out, err] = ["", ""];
  const code = await inject(
    {
      ...base,
      output: "manifests",
      gateway: false,
      ...options,
      file: below(options.file),
      kustomize: below(options.kustomize),
    },
    { out: (text: string) => void (out += text), err: (text: string) => void (err += text) },
  );
  return { code, out, err: err.replaceAll(`${folder}/m/`, "") };
};

const tree = {
  "a.yaml": deployment.trimEnd(),
  "b.yml": other,
  "c.json": "[]",
  "notes.txt": "x: [",
  "deep/d.yaml": "a: [\n",
};

t.test("several files and a folder; the files of a folder come by name and stay documents of their own", async (t) => {
  const { code, out, err } = await run(t, tree, { file: ["a.yaml", "."] });
  t.equal(code, 0);
  t.match(err, /3 injected, 0 rejected/);
  t.strictSame(
    documentsOf(out.replace("---\n[]", "")).map(
      (document) => (document["metadata"] as { name: string } | undefined)?.name,
    ),
    ["x", "x", "y"],
  );
});

t.test("-R: the folders below too", async (t) => {
  const { code, err } = await run(t, tree, { file: ["."], recursive: true });
  t.equal(code, 2);
  t.match(err, /^deep\/d.yaml:2: not YAML/m);
});

t.test("a folder without manifests, and a path that is not there", async (t) => {
  const none = { "x/notes.txt": "" };
  await t.rejects(run(t, none, { file: ["x"] }), {
    message: /x has no manifests \(\*.yaml, \*.yml, \*.json\); -R reads/,
  });
  await t.rejects(run(t, none, { file: ["x"], recursive: true }), { message: /\*.json\)$/ });
  await t.rejects(run(t, none, { file: ["y"] }), { message: /cannot read .*y: ENOENT/ });
});

/** A program of this name that is the only one in PATH. */
const onlyProgram = (t: Test, name: string, script: string): void => {
  const folder = t.testdir({ [name]: `#!/bin/sh\n${script}\n` });
  chmodSync(join(folder, name), 0o755);
  setEnv(t, { ...process.env, PATH: folder });
};

t.test("-k: what kubectl or kustomize builds", async (t) => {
  const text = deployment.replaceAll("'", "");
  for (const [name, verb] of [
    ["kubectl", "kustomize"],
    ["kustomize", "build"],
  ] as const) {
    await t.test(name, async (t) => {
      onlyProgram(t, name, `[ "$1" = ${verb} ] && printf '%s' '${text}'`);
      await t.test("run", async (t) => {
        const { code, out } = await run(t, {}, { kustomize: ["x"] });
        t.equal(code, 0);
        t.match(documentsOf(out)[0], {
          kind: "Deployment",
          spec: { template: { metadata: { annotations: { "flowgen.io/gateway-status": String } } } },
        });
      });
    });
  }
});

t.test("-k: a program that fails, and none", async (t) => {
  await t.test("fails", async (t) => {
    onlyProgram(t, "kubectl", "echo no such kustomization >&2; exit 3");
    await t.test("run", async (t) => {
      const { code, out, err } = await run(t, {}, { kustomize: ["x"] });
      t.strictSame([code, out], [2, ""]);
      t.match(err, /^kubectl kustomize x ended with 3: no such kustomization$/m);
    });
  });
  await t.test("none", async (t) => {
    onlyProgram(t, "other", "");
    await t.test("run", async (t) => {
      await t.rejects(run(t, {}, { kustomize: ["x"] }), { message: /x: neither kubectl nor kustomize is in PATH/ });
    });
  });
});

t.test("between documents that did not follow each other", (t) => {
  const cases: readonly (readonly [before: string, next: string, between: string])[] = [
    ["", "a: 1", ""],
    ["a: 1\n", "", ""],
    ["a: 1", "b: 2", "\n---\n"],
    ["a: 1\n", "---\nb: 2", ""],
    ["a: 1\n", "# c\n\n--- # d\nb: 2", ""],
    ["a: 1\n...\n", "b: 2", ""],
    ["a: 1\n", "%YAML 1.2\n---\nb: 2", "...\n"],
    ['{"a": 1}', '{"b": 2}', "\n"],
    ['{"a": 1}\n', "b: 2", "---\n"],
    ["a: 1\n", '{"b": 2}', "---\n"],
    ["a: 1\n", "# c\nb: 2", "---\n"],
  ];
  for (const [before, next, between] of cases) t.equal(joint(before, next), between, JSON.stringify([before, next]));
  t.end();
});
