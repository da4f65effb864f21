import { readdirSync, readFileSync } from "node:fs";
import jsonpatch from "fast-json-patch";
import fc from "fast-check";
import t from "tap";
import { parse } from "yaml";
import type { EnvVar, Pod } from "../../src/core/pod.ts";
import { redirectEnv } from "../../src/core/redirect.ts";
import type { Assignment } from "../../src/core/target.ts";

const GATEWAY = "gw.ns.svc";
const assign = (text: string): Assignment => {
  const [name = "", from = "", to = ""] = text.split(/[=>]+/).map((part) => part.trim());
  const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(from) ?? [];
  const target = { name, host, port: Number(port), hostEnv: [], portEnv: [] };
  return { target, forward: name, host: GATEWAY, port: Number(to || port) };
};
const podOf = (env: readonly EnvVar[]): Pod => ({
  metadata: {},
  spec: { containers: [{ name: "flowgen", env: [...env] }], initContainers: [{ name: "init", env: [...env] }] },
});
const patched = (pod: Pod, operations: readonly unknown[]): Pod =>
  jsonpatch.applyPatch(structuredClone(pod), operations as never).newDocument;

type Case = {
  title: string;
  targets: string[];
  env: Record<string, string>;
  becomes?: Record<string, string>;
  warnings?: string[];
  rejected?: string;
};
const folder = new URL("../fixtures/env/", import.meta.url);
for (const file of readdirSync(folder)) {
  t.test(file, (t) => {
    for (const { title, targets, env, becomes, warnings, rejected } of parse(
      readFileSync(new URL(file, folder), "utf8"),
    ) as Case[]) {
      const pod = podOf(Object.entries(env).map(([name, value]) => ({ name, value })));
      const result = redirectEnv(pod, targets.map(assign), []);
      if (result.kind === "reject") {
        t.equal(result.reason, rejected, title);
        continue;
      }
      const after = patched(pod, result.operations);
      const values = Object.fromEntries((after.spec.containers[0]?.env ?? []).map(({ name, value }) => [name, value]));
      t.same(values, { ...env, ...becomes }, title);
      t.same(result.warnings, warnings ?? [], `${title}: warnings`);
      const again = redirectEnv(after, targets.map(assign), []);
      t.same(again.kind === "redirect" && [again.operations, again.env], [[], result.env], `${title}: a second run`);
    }
    t.end();
  });
}
void fc;
