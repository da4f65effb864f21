/**
 * Cases to read as documentation: fixtures/env/*.yaml, a file for each family of values. A case holds the pod's targets
 * (`name=host:port`, and `=>` its service port where that differs), the env of its container (`env`) and of an init
 * container (`init`), and what differs after the redirect: `becomes`, `initBecomes`; or the place that is `rejected`, with the `reason`.
 * `named`: what an annotation's hostEnv, portEnv and servicePort say. `former`: old addresses of a restored pod.
 */
import { readdirSync, readFileSync } from "node:fs";
import t, { type Test } from "tap";
import { parse } from "yaml";
import type { EnvVar, Pod } from "../../../src/core/pod.ts";
import { redirectEnv } from "../../../src/core/env/redirect.ts";
import type { Assignment } from "../../../src/core/target.ts";
import { patched } from "../../making.ts";

type Values = Readonly<Record<string, unknown>>;
type Case = {
  readonly title: string;
  readonly targets: readonly string[];
  readonly named?: Readonly<
    Record<string, { readonly hostEnv?: string[]; readonly portEnv?: string[]; readonly servicePort?: number }>
  >;
  readonly former?: Readonly<Record<string, string>>;
  readonly env?: Values;
  readonly envFrom?: readonly unknown[];
  readonly init?: Values;
  readonly becomes?: Values;
  readonly initBecomes?: Values;
  readonly warnings?: readonly string[];
  readonly rejected?: string;
  /** Default: srv-url. */
  readonly reason?: string;
};

const assign = (text: string, named: Case["named"]): Assignment => {
  const [, name = "", host = "", port = "", to = port] = /^(.*?)=\[?(.*?)\]?:(\d+)(?:=>(\d+))?$/.exec(text) ?? [];
  const target = { name, host, port: Number(port), hostEnv: [], portEnv: [], ...named?.[name] };
  return { target, forward: name, host: "gw.ns.svc", port: Number(to) };
};
/** A string, or what stands instead of one (`valueFrom`). */
const envOf = (values: Values): EnvVar[] =>
  Object.entries(values).map(([name, value]) =>
    typeof value === "object" ? { name, ...value } : { name, value: value as string },
  );
const valuesOf = (env: readonly EnvVar[] | null | undefined): Values =>
  Object.fromEntries((env ?? []).map(({ name, value, ...rest }) => [name, value ?? rest]));
const podOfCase = ({ env, envFrom, init }: Case): Pod => ({
  metadata: {},
  spec: {
    containers: [{ name: "flowgen", ...(env && { env: envOf(env) }), ...(envFrom && { envFrom: [...envFrom] }) }],
    ...(init && { initContainers: [{ name: "init", env: envOf(init) }] }),
  },
});

const check = (t: Test, each: Case): void => {
  const pod = podOfCase(each);
  const assignments = each.targets.map((text) => assign(text, each.named));
  const former = Object.entries(each.former ?? {}).flatMap(([address, name]) => {
    const [host = "", port] = address.split(":");
    return assignments
      .filter(({ target }) => target.name === name)
      .map((assignment) => ({ host, port: Number(port), assignment }));
  });
  const result = redirectEnv(pod, assignments, former);
  if (result.kind === "reject") {
    t.equal(result.message.split(":")[0], each.rejected, "rejected");
    t.equal(result.reason, each.reason ?? "srv-url");
    return;
  }
  const after = patched(pod, result.operations);
  t.strictSame(valuesOf(after.spec.containers[0]?.env), { ...each.env, ...each.becomes }, "env");
  t.strictSame(valuesOf(after.spec.initContainers?.[0]?.env), { ...each.init, ...each.initBecomes }, "init env");
  t.strictSame(result.warnings, each.warnings ?? [], "warnings");
  t.equal(each.rejected, undefined);
  const none = { length: 0 };
  t.match(redirectEnv(after, assignments, []), { operations: none, changed: none, env: result.env }, "a second run");
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
  t.strictSame(redirectEnv(pod, [], []), { kind: "redirect", operations: [], changed: [], env: [], warnings: [] });
  t.end();
});
