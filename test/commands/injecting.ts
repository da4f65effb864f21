import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import jsonpatch from "fast-json-patch";
import type { Test } from "tap";
import { parseAllDocuments } from "yaml";
import { inject, type InjectOptions } from "../../src/commands/inject/inject.ts";
import { createAdmitter } from "../../src/commands/inject/offline.ts";
import { readStream } from "../../src/manifests/stream.ts";
import type { ManifestOptions } from "../../src/commands/inject/run.ts";
import type { PatchOperation } from "../../src/core/patch.ts";
import { configOf } from "../making.ts";

export const CONFIG = readFileSync(new URL("../../examples/webhook-config.yaml", import.meta.url), "utf8");
export const GATEWAY_HOST = "flowgen-wireguard-gateway.flowgen-gateway.svc";

/** A folder with the stream and the config; the options that name them. */
export const files = (t: Test, text: string | Buffer, config = CONFIG): ManifestOptions => {
  const folder = t.testdir({ "config.yaml": config });
  const file = join(folder, "stream.yaml");
  writeFileSync(file, text);
  const options = { kustomize: [], recursive: false, failOn: "reject", diff: false } as const;
  return { ...options, file: [file], config: join(folder, "config.yaml"), namespace: "team-a" };
};

/** The messages of a command beside its summary and the empty table, with the file's name for its path. */
export const findings = (err: string, folder: string): string =>
  err
    .replace(/^no --cluster: .*\n/m, "")
    .replace(/^(\d+ injected|no workload found).*\n$/m, "")
    .replaceAll(`${folder}/`, "");

/** Runs a command on a text and keeps what it prints. */
export const injected = async (t: Test, text: string | Buffer, config = CONFIG, more: Partial<InjectOptions> = {}) => {
  const printed = { out: "", err: "" };
  const output = {
    out: (more: string) => void (printed.out += more),
    err: (more: string) => void (printed.err += more),
  };
  const options = { ...files(t, text, config), output: "manifests", gateway: false } as const;
  const code = await inject({ ...options, ...more }, output);
  return { code, out: printed.out, err: findings(printed.err, dirname(options.config)) };
};

type Value = Record<string, unknown>;
export const documentsOf = (text: string): Value[] =>
  parseAllDocuments(text, { merge: true }).map((document) => {
    if (document.errors[0]) throw document.errors[0];
    return JSON.parse(JSON.stringify(document.toJS() as unknown)) as Value;
  });

const PATHS = [["spec", "jobTemplate", "spec", "template"], ["spec", "template"], ["template"], []];

/** The only workload of a document after an injection: the decision's patch, applied to its value. */
export const expected = async (text: string): Promise<Value> => {
  const { workloads } = readStream(text, "stream.yaml", "team-a");
  const admission = workloads[0] && (await createAdmitter(configOf(CONFIG), undefined, "inject").admit(workloads[0]));
  const [document] = documentsOf(text);
  const operations = structuredClone(admission?.operations ?? []) as PatchOperation[];
  const at = (path: string[]): unknown =>
    path.reduce<unknown>((value, key) => (value as Value | undefined)?.[key], document);
  const template = at(PATHS.find((path) => at(path) !== undefined) ?? []);
  jsonpatch.applyPatch(template as Value, operations);
  return document ?? {};
};

export const TARGETS_LINE = `flowgen.io/private-targets: "db=10.0.0.5:1433"`;
/** A pod whose target is reached by its name, in hostAliases. */
export const namedPod = (host: string): string => `apiVersion: v1
kind: Pod
metadata:
  name: led
  labels: {app.kubernetes.io/name: flowgen}
  annotations:
    flowgen.io/private-targets: "[{name: sql, targetHost: ${host}, targetPort: 1433, redirect: hostAlias}]"
spec:
  containers: [{name: app}]
`;
const TEMPLATE = `metadata:
  labels: {app.kubernetes.io/name: flowgen}
  annotations:
    ${TARGETS_LINE}
spec:
  containers:
    - name: app
      env:
        - name: DB_HOST
          value: 10.0.0.5
        - name: DB_PORT
          value: "1433"
`;
const indented = (text: string, by: number): string => text.replace(/^(?=.)/gm, " ".repeat(by));
/** A workload of a kind, with its pod at `path`, that asks for 10.0.0.5:1433. */
export const workload = (kind: string, path: readonly string[], apiVersion = "apps/v1"): string =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\n` +
  (path.length > 0 ? "metadata:\n  name: x\n" : "") +
  path.map((key, depth) => `${" ".repeat(depth * 2)}${key}:\n`).join("") +
  indented(TEMPLATE, path.length * 2);
export const deployment = workload("Deployment", ["spec", "template"]);
/** Another that asks for another address on the same port. */
export const other = deployment.replace("name: x", "name: y").replaceAll("10.0.0.5", "10.0.0.9");
