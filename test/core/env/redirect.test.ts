/**
 * Cases to read as documentation: fixtures/env/*.yaml, a file for each family of values. A case holds the pod's targets
 * (`name=host:port`), the env of its container (`env`) and of an init container (`init`), and what differs after the
 * redirect: `becomes`, `initBecomes`; or the place that is `rejected`. `named`: what an annotation's hostEnv and
 * portEnv say. `addresses`: where the table offers a target since before. `unread`: what is named in the status.
 * `ownService`: the hosts that need one. A target whose port another host's has already is at a Service of its own
 * (`<name>.ns.svc`), as the table would have it.
 */
import { readdirSync, readFileSync } from "node:fs";
import t, { type Test } from "tap";
import { parse } from "yaml";
import { readPodHosts } from "../../../src/core/env/reading.ts";
import { redirectEnv } from "../../../src/core/env/redirect.ts";
import type { EnvVar, Pod } from "../../../src/core/pod.ts";
import type { Assignment } from "../../../src/core/target.ts";
import { assignmentOf, patched, targetOf } from "../../making.ts";

type Values = Readonly<Record<string, unknown>>;
type Case = {
  readonly title: string;
  readonly targets: readonly string[];
  readonly named?: Readonly<Record<string, { readonly hostEnv?: string[]; readonly portEnv?: string[] }>>;
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
  readonly keepEnv?: string;
  readonly env?: Values;
  readonly envFrom?: readonly unknown[];
  readonly init?: Values;
  readonly becomes?: Values;
  readonly initBecomes?: Values;
  readonly warnings?: readonly string[];
  readonly unread?: readonly string[];
  readonly ownService?: readonly string[];
  readonly rejected?: string;
};

const assign = ({ targets, named, addresses }: Case): Assignment[] => {
  const owners = new Map<string, string>();
  return targets.map((text) => {
    const [, name = "", host = "", port = ""] = /^(.*?)=\[?(.*?)\]?:(\d+)$/.exec(text) ?? [];
    if (!owners.has(port)) owners.set(port, host);
    const at = owners.get(port) === host ? "gw" : name;
    const target = targetOf(name, host, Number(port), named?.[name]);
    return assignmentOf(target, { host: `${at}.ns.svc`, addresses: addresses?.[name] ?? [] });
  });
};
/** A string, or what stands instead of one (`valueFrom`). */
const envOf = (values: Values): EnvVar[] =>
  Object.entries(values).map(([name, value]) =>
    typeof value === "object" ? { name, ...value } : { name, value: value as string },
  );
const valuesOf = (env: readonly EnvVar[] | null | undefined): Values =>
  Object.fromEntries((env ?? []).map(({ name, value, ...rest }) => [name, value ?? rest]));
const podOfCase = ({ env, envFrom, init, keepEnv }: Case): Pod => ({
  metadata: keepEnv === undefined ? {} : { annotations: { "flowgen.io/keep-env": keepEnv } },
  spec: {
    containers: [{ name: "flowgen", ...(env && { env: envOf(env) }), ...(envFrom && { envFrom: [...envFrom] }) }],
    ...(init && { initContainers: [{ name: "init", env: envOf(init) }] }),
  },
});

const check = (t: Test, each: Case): void => {
  const pod = podOfCase(each);
  const assignments = assign(each);
  const hosts = readPodHosts(
    pod,
    assignments.map(({ target }) => target),
  );
  const result = redirectEnv(pod, assignments);
  if (result.kind === "reject" || hosts.kind === "reject") {
    const messages = [result, hosts].map((answer) => (answer.kind === "reject" ? answer.message.split(":")[0] : ""));
    t.strictSame(messages, [each.rejected, each.rejected], "rejected before anything is provisioned, and after");
    return;
  }
  const after = patched(pod, result.operations);
  t.strictSame(valuesOf(after.spec.containers[0]?.env), { ...each.env, ...each.becomes }, "env");
  t.strictSame(valuesOf(after.spec.initContainers?.[0]?.env), { ...each.init, ...each.initBecomes }, "init env");
  t.strictSame(result.warnings, each.warnings ?? [], "warnings");
  t.strictSame(
    result.unread.map((name) => name.replace(/^flowgen\//, "")),
    each.unread ?? [],
    "unread",
  );
  t.strictSame([...hosts.needOwnService], each.ownService ?? [], "hosts that need a Service of their own");
  t.equal(each.rejected, undefined);
  const none = { length: 0 };
  const same = { operations: none, changed: none, env: result.env, unread: result.unread };
  t.match(redirectEnv(after, assignments), same, "a second run");
};

const folder = new URL("../../fixtures/env/", import.meta.url);
for (const file of readdirSync(folder)) {
  t.test(file, (t) => {
    for (const each of parse(readFileSync(new URL(file, folder), "utf8")) as Case[]) {
      t.test(each.title, (t) => {
        check(t, each);
        t.end();
      });
    }
    t.end();
  });
}

t.test("without targets nothing is done", (t) => {
  const pod = podOfCase({ title: "", targets: [], env: { A: "mssql://10.0.0.5", B: "$(A)" } });
  const unchanged = { operations: [], changed: [], env: [], unread: [], warnings: [] };
  t.strictSame(redirectEnv(pod, []), { kind: "redirect", ...unchanged });
  t.end();
});
