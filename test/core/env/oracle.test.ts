/**
 * The oracle: pods whose env are made from templates, expanded as Kubernetes does, and read back by the template. Each
 * endpoint is looked up in the Services of the table. That of a target reaches this target. Another one is unchanged,
 * or names the Service of the host's own, which refuses its port. `VALUES` sets how many (CI: 100,000),
 * `FC_SEED=random` which.
 */
import "../../seed.ts";
import fc from "fast-check";
import { targetOf } from "../../making.ts";
import t from "tap";
import { readPodHosts } from "../../../src/core/env/reading.ts";
import { redirectEnv } from "../../../src/core/env/redirect.ts";
import type { Pod } from "../../../src/core/pod.ts";
import type { Target } from "../../../src/core/target.ts";
import { patched } from "../../making.ts";
import {
  type Endpoint,
  envOf,
  expanded,
  HOSTS,
  type Literal,
  PORTS,
  readBack,
  sizeOf,
  TEMPLATES,
  type Use,
  useOf,
} from "./oracle.ts";
import { assign, servicesOf } from "./table.ts";

const targetsOf = (endpoints: readonly Endpoint[]): readonly Target[] =>
  endpoints.map(({ host, port }, at) => targetOf(`t${at}`, host, port));

const endpoint = fc.record({ host: fc.constantFrom(...HOSTS), port: fc.constantFrom(...PORTS) });
const endpoints = fc.uniqueArray(endpoint, {
  minLength: 1,
  maxLength: 4,
  selector: ({ host, port }) => `${host} ${port}`,
});
const uses = fc.array(useOf(HOSTS), { minLength: 1, maxLength: 4 });

/** The fault of a pod's redirect; undefined: none. */
const wrong = (uses: readonly Use[], targets: readonly Target[]): string | undefined => {
  const env = uses.flatMap(envOf);
  const pod: Pod = { metadata: {}, spec: { containers: [{ name: "c", env: [...env] }] } };
  const hosts = readPodHosts(pod, targets);
  if (hosts.kind === "reject") return hosts.message;
  const assignments = assign(targets, hosts.needOwnService);
  const result = redirectEnv(pod, assignments, hosts.readings);
  if (result.kind === "reject") return result.message;
  const after = expanded((patched(pod, result.operations).spec.containers[0]?.env ?? []) as readonly Literal[]);
  const services = servicesOf(assignments);
  for (const [at, { template, endpoints, isReferred, isSplit }] of uses.entries()) {
    const name = `U${at}`;
    const text = after.get(name) ?? "";
    const found = readBack(template, text, endpoints);
    if (found === undefined) return `${name}: all but its hosts should be as it was: ${text}`;
    const isNamed = result.unread.some((each) => each === `c/${name}` || each.endsWith(`_${at}`));
    for (const [index, host] of found.entries()) {
      const before = endpoints[index] as Endpoint;
      const port = template.port ?? before.port;
      const wanted = targets.find((target) => target.host === before.host && target.port === port);
      const reached = services.get(host)?.get(port);
      const where = `${name} ${before.host}:${port} is now ${host}:${port}`;
      if (reached !== undefined && reached !== wanted) return `${where}: another's server`;
      if (wanted === undefined && host !== before.host && !(hosts.needOwnService.has(before.host) && isNamed))
        return `${where}: changed, and not named at a Service of its own`;
      const isLeftOut = isReferred && isSplit && host === before.host && isNamed;
      if (wanted !== undefined && reached !== wanted && !isLeftOut) return `${where}: its target is not reached`;
    }
  }
  return undefined;
};

const runs = { numRuns: Math.ceil(Number(process.env["VALUES"] ?? 6000) / 2) };

t.test("every endpoint of every value is where the table says", (t) => {
  t.ok(new Set(TEMPLATES.map(({ family }) => family)).size >= 16, "families");
  const seed = fc.readConfigureGlobal().seed;
  let values = 0;
  let led = 0;
  fc.assert(
    fc.property(uses, endpoints, (uses, endpoints) => {
      const problem = wrong(uses, targetsOf(endpoints));
      if (problem !== undefined) throw new Error(problem);
      values += uses.length;
      led += uses.filter(({ endpoints: own, template }) =>
        own.slice(0, sizeOf(template)).some(({ host }) => endpoints.some((each) => each.host === host)),
      ).length;
    }),
    runs,
  );
  t.ok(led > values / 4, `seed ${seed}: ${values} values, 0 wrong; ${led} held a target's host`);
  t.end();
});
