import t from "tap";
import type { Cluster, KubeObject } from "../../src/cluster/cluster.ts";
import type { Want } from "../../src/core/target.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { createProvisioner, type Provisioner } from "../../src/provisioning/provisioner.ts";
import { createClock } from "../clock.ts";
import { configOf, gatewayOf, ONE_GATEWAY, scripts, seeded, wantOf } from "../making.ts";

const config = configOf(ONE_GATEWAY);
const gateway = gatewayOf(config);
const { signal } = new AbortController();
const ask = async (provision: Provisioner, ...wants: readonly Want[]): Promise<void> => {
  const { kind } = await provision({ config, gateway, wants, write: true, signal: () => signal });
  if (kind !== "assigned") throw new Error(kind);
};

const isTable = ({ metadata }: KubeObject): boolean => metadata.name === `${gateway.name}-forwards`;
const isScripts = ({ metadata }: KubeObject): boolean => metadata.name === `${gateway.name}-scripts`;
const isService = ({ kind, metadata }: KubeObject): boolean => kind === "Service" && metadata.name === gateway.name;

type Count = { tables: number; services: number; refused: number; scripts: number };

/** Three replicas write twelve forwards each, in virtual time. */
const playStorm = async (seed: number): Promise<{ readonly count: Count; readonly ports: number }> => {
  const memory = createMemoryCluster();
  const [clock, random] = [createClock(), seeded(seed)];
  const count: Count = { tables: 0, services: 0, refused: 0, scripts: 0 };
  const slow = async <T>(ms: number, call: () => Promise<T>): Promise<T> => {
    await clock.sleep(ms * random());
    return call();
  };
  const cluster: Cluster = {
    ...memory,
    get: (ref, signal) => slow(4, () => memory.get(ref, signal)),
    list: (...question) => slow(4, () => memory.list(...question)),
    apply: (object, signal) =>
      slow(isService(object) ? 60 : 4, async () => {
        count.scripts += Number(isScripts(object));
        try {
          const made = await memory.apply(object, signal);
          count.tables += Number(isTable(object));
          count.services += Number(isService(object));
          return made;
        } catch (error) {
          count.refused += Number(isService(object));
          throw error;
        }
      }),
  };
  const { now, sleep: pause } = clock;
  const replicas = Array.from({ length: 3 }, () => createProvisioner(cluster, { scripts, now, pause, random }));
  const served = Promise.all(
    replicas.map(async (replica, at) => {
      for (let round = 0; round < 12; round += 1) {
        const port = 2000 + 3 * round + at;
        await ask(replica, wantOf(`p${port}`, "10.0.0.1", port));
      }
    }),
  );
  await clock.run();
  await served;
  const service = memory.all().find(isService) as unknown as { spec: { ports: object[] } };
  return { count, ports: service.spec.ports.length };
};

const STORMS = 10;
t.test("replicas that write at the same time: the one with the newest table makes the Service for all", async (t) => {
  const sum = { services: 0, refused: 0, scripts: 0 };
  for (let seed = 1; seed <= STORMS; seed += 1) {
    const { count, ports } = await playStorm(seed);
    t.comment(JSON.stringify(count));
    t.equal(count.tables, 36);
    t.equal(ports, 36);
    sum.services += count.services;
    sum.refused += count.refused;
    sum.scripts += count.scripts;
  }
  t.ok(sum.services <= 27 * STORMS, "one apply often serves several writes of the table");
  t.ok(sum.refused <= 12 * STORMS, "few applies are refused");
  t.ok(sum.scripts <= 3 * STORMS, "no replica applies the scripts that it finds as wanted");
});

t.test("an address that no pod holds is recorded by the table's next write, not by one of its own", async (t) => {
  const writes: string[] = [];
  const memory = createMemoryCluster({
    before: ({ verb, ref }) => {
      if (verb === "apply" && ref.name.endsWith("-forwards")) writes.push(verb);
    },
  });
  const addresses = (): readonly string[] => {
    const { data } = memory.all().find(isTable) as unknown as { data: Readonly<Record<string, string>> };
    const { services } = JSON.parse(data["table.json"] ?? "") as { services: { clusterIPs: string[] }[] };
    return services.map(({ clusterIPs }) => clusterIPs.join());
  };
  const provision = createProvisioner(memory, { scripts });
  const byName = wantOf("b", "10.0.0.2", 1433);
  await ask(provision, wantOf("a", "10.0.0.1", 1433), byName);
  t.strictSame([writes.length, addresses()], [1, [""]], "the pod holds the name of the host's Service");
  await ask(provision, byName);
  t.equal(writes.length, 1, "known");
  await ask(provision, { ...byName, names: ["b.example.com"], needsService: true });
  t.match([writes.length, addresses()], [2, [/^10\.96\./]], "hostAliases hold the address");
  await ask(provision, { ...byName, names: ["b.example.com"], needsService: true });
  t.equal(writes.length, 2, "known");
  await ask(provision, wantOf("c", "10.0.0.3", 1433));
  await ask(provision, wantOf("d", "10.0.0.4", 2000));
  t.match([writes.length, addresses()], [4, [/^10\.96\./, /^10\.96\./]]);
});
