import t from "tap";
import type { Cluster, KubeObject } from "../../src/cluster/cluster.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { createProvisioner, type Provisioner } from "../../src/provisioning/provisioner.ts";
import { configOf, gatewayOf, scripts, wantOf } from "../making.ts";

const config = configOf(`
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]
`);
const gateway = gatewayOf(config);
const { signal } = new AbortController();
/** A target of its own port, which the gateway's own Service has room for. */
const ask = (provision: Provisioner, name: string, port: number) =>
  provision({ config, gateway, wants: [wantOf(name, "10.0.0.1", port)], write: true, signal: () => signal });

const isTable = ({ metadata }: KubeObject): boolean => metadata.name === `${gateway.name}-forwards`;
const isDerived = ({ kind }: KubeObject): boolean => kind === "Service" || kind === "NetworkPolicy";

t.test(
  "beside another replica's writes what is made from the table is read after its write: no apply is refused",
  async (t) => {
    const memory = createMemoryCluster();
    const refused: string[] = [];
    /** A replica's way to the cluster; it waits for these before and after an apply. */
    const through = (before: (object: KubeObject) => unknown, after: (object: KubeObject) => unknown): Cluster => ({
      ...memory,
      apply: async (object, signal) => {
        await before(object);
        const made = await memory.apply(object, signal).catch((error: unknown) => {
          refused.push(`${object.kind} ${object.metadata.name ?? ""}: ${String(error)}`);
          throw error;
        });
        await after(object);
        return made;
      },
    });
    const nothing = (): void => undefined;
    const [isWritten, isMade] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
    let isHeld = false;
    const slow = createProvisioner(
      through(
        (object) => (isHeld && isDerived(object) ? isMade.promise : nothing()),
        (object) => {
          if (isHeld && isTable(object)) isWritten.resolve(undefined);
        },
      ),
      { scripts },
    );
    const other = Promise.withResolvers<unknown>();
    const quick = createProvisioner(
      through(nothing, async (object) => {
        if (!isHeld || !isTable(object)) return;
        isMade.resolve(undefined);
        await other.promise;
      }),
      { scripts },
    );
    t.match(await ask(quick, "a", 1401), { kind: "assigned" });
    isHeld = true;
    // The slow replica writes the table. The quick one reads all and writes the table, and the slow one's objects follow.
    other.resolve(ask(slow, "b", 1402));
    await isWritten.promise;
    t.match(await ask(quick, "c", 1403), { kind: "assigned" });
    t.match(await other.promise, { kind: "assigned" });
    t.strictSame(refused, []);
    const service = memory.all().find(({ kind, metadata }) => kind === "Service" && metadata.name === gateway.name);
    t.match(service, { spec: { ports: [{ port: 1401 }, { port: 1402 }, { port: 1403 }] } });
  },
);
