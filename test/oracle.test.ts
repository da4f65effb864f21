/**
 * The oracle over both redirects, on the whole admission. A pod's env are made from templates and read back by them.
 * Each endpoint in them is dialed as a program would do it. Its host is found in the pod's hostAliases, else as the DNS
 * name of a Service. Then come the Service's port, and the line of the forward table that listens behind it. A target's
 * endpoint reaches the target; any other one is where it was, or refused.
 */
import "./seed.ts";
import fc from "fast-check";
import t from "tap";
import { admit } from "../src/admit.ts";
import { createMemoryCluster, type MemoryCluster } from "../src/emulator/memory.ts";
import { readHost } from "../src/core/host.ts";
import type { Pod } from "../src/core/pod.ts";
import { address } from "../src/core/target.ts";
import { createProvisioner } from "../src/provisioning/provisioner.ts";
import {
  envOf,
  type Endpoint,
  expanded,
  HOSTS,
  type Literal,
  PORTS,
  readBack,
  type Use,
  useOf,
} from "./core/env/oracle.ts";
import { configOf, patched, podOf, scripts } from "./making.ts";

const ALIASES = ["erp.corp.example.com", "crm.corp.example.com"];
const OWN_ENTRIES = [{ ip: "10.1.1.1", hostnames: ["printer"] }, { ip: "10.96.0.200" }];
const configs = ["env", "auto"].map((redirect) =>
  configOf(
    `redirect: ${redirect}\ngateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8", "fd00::/8", "*.corp.example.com"], allowedAliases: ["*.corp.example.com"]}]}]`,
  ),
);

type Wish = Endpoint & { readonly redirect: string | undefined; readonly alias: string | undefined };
type Asked = Endpoint & { readonly redirect?: string; readonly aliases: readonly string[] };
const wish = fc.record({
  host: fc.constantFrom(...HOSTS),
  port: fc.constantFrom(...PORTS),
  redirect: fc.constantFrom(undefined, "env", "hostAlias", "auto"),
  alias: fc.constantFrom(undefined, undefined, ...ALIASES),
});
const wishes = fc.uniqueArray(wish, {
  minLength: 1,
  maxLength: 4,
  selector: ({ host, port }) => `${host} ${port}`,
});

/** Each alias for one host; hostAlias where there is a name. */
const askedFor = (all: readonly Wish[]): readonly Asked[] =>
  all.map(({ host, port, redirect, alias }) => {
    const isFree = all.find((other) => other.alias === alias)?.host === host;
    const aliases = alias !== undefined && isFree ? [alias] : [];
    const isNameless = redirect === "hostAlias" && aliases.length === 0 && readHost(host).kind !== "name";
    return { host, port, aliases, ...(redirect !== undefined && !isNameless && { redirect }) };
  });

type ServiceSpec = { readonly clusterIP: string; readonly ports: readonly { port: number; targetPort: number }[] };

/**
 * The server at a host and port in the pod: `host:port` of a private server, "refused", or undefined: not the gateway.
 */
const dialer = ({ spec }: Pod, cluster: MemoryCluster) => {
  const all = cluster.all();
  const services = all.filter(({ kind }) => kind === "Service");
  const table = all.find(({ metadata }) => metadata.name?.endsWith("-forwards"));
  const lines = ((table?.["data"] as Record<string, string> | undefined)?.["forwards"] ?? "").trim().split("\n");
  return (host: string, port: number): string | undefined => {
    const ip = spec.hostAliases?.find(({ hostnames }) => hostnames?.includes(host))?.ip;
    const service = services.find(({ metadata, spec }) =>
      ip === undefined ? host === `${metadata.name}.g.svc` : ip === (spec as ServiceSpec).clusterIP,
    );
    if (service === undefined) return ip === undefined ? undefined : "refused";
    const listens = (service["spec"] as ServiceSpec).ports.find((each) => each.port === port)?.targetPort;
    const [, to = "", toPort] = lines.map((line) => line.split(" ")).find(([at]) => at === String(listens)) ?? [];
    return listens === undefined ? "refused" : address(to, Number(toPort));
  };
};

/** The changes beside the marks, the env that are named and the entries for the names. */
const others = (pod: Pod, changed: ReadonlySet<string>): string =>
  JSON.stringify({
    ...pod,
    metadata: {
      labels: pod.metadata.labels?.["app"],
      targets: pod.metadata.annotations?.["flowgen.io/private-targets"],
    },
    spec: {
      ...pod.spec,
      hostAliases: [],
      containers: pod.spec.containers.map(({ env, ...rest }) => ({
        ...rest,
        env: env?.filter(({ name }) => !changed.has(name)),
      })),
    },
  });

const wrong = async (
  uses: readonly Use[],
  asked: readonly Asked[],
  config: number,
  entries: number,
): Promise<string | undefined> => {
  const env = uses.flatMap(envOf);
  const base = podOf(
    JSON.stringify(asked.map(({ host, port, ...more }) => ({ targetHost: host, targetPort: port, ...more }))),
  );
  const own = OWN_ENTRIES.slice(0, entries);
  const pod: Pod = { ...base, spec: { hostAliases: own, containers: [{ name: "c", env: [...env] }] } };
  const cluster = createMemoryCluster();
  const provision = createProvisioner(cluster, { scripts });
  const context = { config: configs[config] ?? configOf(""), provision, version: "1" };
  const { signal } = new AbortController();
  const answer = (pod: Pod) => admit({ pod, namespace: "n", dryRun: false, signal: () => signal }, context);

  const first = await answer(pod);
  if (first.outcome !== "inject") return `${first.outcome} ${first.reason} ${first.message ?? ""}`;
  const after = patched(pod, first.operations);
  const second = await answer(after);
  if (second.reason !== "unchanged") return `second: ${second.reason} ${JSON.stringify(second.operations)}`;
  const changed = new Set(first.changed.map((each) => each.env));
  if (others(pod, changed) !== others(after, changed)) return `changed besides: ${others(after, changed)}`;
  if (JSON.stringify(after.spec.hostAliases?.slice(0, own.length)) !== JSON.stringify(own))
    return "own entries changed";

  const dial = dialer(after, cluster);
  const hostBehind = (name: string): string => asked.find(({ aliases }) => aliases.includes(name))?.host ?? name;
  const texts = expanded((after.spec.containers[0]?.env ?? []) as readonly Literal[]);
  const named = new Set(first.assignments.flatMap(({ names }) => names));
  for (const { names, target } of first.assignments)
    for (const name of names)
      if (dial(name, target.port) !== address(target.host, target.port)) return `${name}:${target.port} is not led`;
  for (const [at, { template, endpoints, isReferred, isSplit }] of uses.entries()) {
    const text = texts.get(`U${at}`) ?? "";
    const found = readBack(template, text, endpoints);
    if (found === undefined) return `U${at}: all but its hosts should be as it was: ${text}`;
    const isNoted = first.unread.some((each) => each === `c/U${at}` || each.endsWith(`_${at}`));
    for (const [index, host] of found.entries()) {
      const before = endpoints[index] as Endpoint;
      const port = template.port ?? before.port;
      const wanted = asked.find((each) => each.port === port && each.host === hostBehind(before.host));
      const reached = dial(host, port);
      const where = `U${at} ${before.host}:${port} is now ${host}:${port} and reaches ${reached}`;
      const isBare = first.assignments.some(
        ({ target, redirect }) =>
          target.host === wanted?.host && target.port === port && redirect === "hostAlias" && !named.has(before.host),
      );
      const isReached = wanted !== undefined && reached === address(wanted.host, wanted.port);
      if (isBare) {
        // Another target of the address may have its env rewritten, to the Service that has this port too.
        if (!isReached && (host !== before.host || !isNoted))
          return `${where}: an address that only its aliases lead to`;
      } else if (wanted !== undefined) {
        const isLeftOut = isReferred && isSplit && host === before.host && isNoted;
        if (!isReached && !isLeftOut) return where;
      } else if (reached !== "refused" && (reached !== undefined || host !== before.host)) return where;
      const isByName =
        named.has(before.host) &&
        first.assignments.every((each) => each.redirect === "hostAlias" || each.target.host !== before.host);
      if (isByName && host !== before.host) return `${where}: hostAliases map it, and its env was changed`;
    }
  }
  return undefined;
};

const runs = { numRuns: Math.ceil(Number(process.env["VALUES"] ?? 20_000) / 50) };

t.test("every endpoint reaches its target by one redirect or the other, and no other endpoint changes", async (t) => {
  const uses = fc.array(useOf([...HOSTS, ...ALIASES]), { minLength: 1, maxLength: 4 });
  const property = fc.asyncProperty(uses, wishes, fc.nat(1), fc.nat(2), async (uses, wishes, config, entries) => {
    const problem = await wrong(uses, askedFor(wishes), config, entries);
    if (problem !== undefined) throw new Error(problem);
  });
  await t.resolves(fc.assert(property, runs), `seed ${fc.readConfigureGlobal().seed}`);
});
