// A node dies suddenly, with the only pod of one gateway and with one of two pods of another. The control plane is
// real. Noted are its actions, their times, and the connections lost until then. Before that, the throughput of two
// pods is measured beside one.
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { type Api, connectTo } from "../lab/control-plane/api.ts";
import { DEFAULT_LIMITS } from "../lab/control-plane/flags.ts";
import { nodeCondition } from "../lab/node/node.ts";
import { isPodReady, type PodFacts, podsOf, type Where } from "../lab/node/gateway.ts";
import { pairConfig, PAIR, SINGLE, startIdentities } from "../lab/node/identities.ts";
import { startSecondNode } from "../lab/node/second.ts";
import type { Visits } from "../lab/vpn/visits.ts";
import { seconds } from "../node/figures.ts";
import { eventually } from "../wait.ts";
import { measureThroughput } from "./throughput.ts";

type Variant = { readonly flags: readonly string[]; readonly changes: object; readonly bound: number };
const sooner = ["unreachable", "not-ready"].map((condition) => ({
  key: `node.kubernetes.io/${condition}`,
  operator: "Exists",
  effect: "NoExecute",
  tolerationSeconds: 5,
}));
/** `quick`: what an admin may set, of the controller manager and of the gateway. There its pods have a limit of CPU, too. */
const VARIANTS: Readonly<Record<string, Variant>> = {
  default: { flags: [], changes: {}, bound: 130_000 },
  quick: {
    flags: ["--node-monitor-grace-period=20s", "--node-monitor-period=2s"],
    changes: {
      tolerations: sooner,
      resources: { limits: { cpu: "200m", memory: "256Mi" } },
      socat: { resources: { limits: { cpu: "200m" } } },
    },
    bound: 70_000,
  },
};
const name = process.env["VARIANT"] ?? "default";
const variant = VARIANTS[name];
if (variant === undefined) throw new Error(`no variant ${name}`);

t.setTimeout(500_000);
const [limits] = Object.values(DEFAULT_LIMITS);
const flags = { "kube-controller-manager": [...(limits ?? []), ...variant.flags] };
const lab = await startIdentities(t, variant.changes, flags);
const { kubectl, node, installation, settled } = lab;
const { controlPlane } = node;
const second = await startSecondNode(node);
t.teardown(second.stop);
const api = connectTo(controlPlane);
t.teardown(api.close);
await installation.upgrade(pairConfig(["wireguard-a", "wireguard-b"], variant.changes));
await settled(2);

t.test("the only pod of one gateway, and one of two of the other, are on the second node", async (t) => {
  await kubectl(["cordon", "node"]);
  const { single } = await settled(2);
  await kubectl(["delete", "pod", single.metadata.name, `--namespace=${SINGLE.namespace}`]);
  const after = await settled(2);
  await kubectl(["uncordon", "node"]);
  t.ok(isOnSecond(after.single));
  t.equal(after.pair.filter(isOnSecond).length, 1);
});

t.test("the throughput of both", async (t) => {
  for (const line of await measureThroughput(controlPlane)) t.comment(`${name}: ${line}`);
});

t.test("the second node dies", async (t) => {
  let died = 0;
  const told = new Map<string, number>();
  const { pair, single } = await lab.visitBoth(async () => {
    await sleep(1_000);
    await second.kill();
    died = Date.now();
    const note = (what: string): void => {
      if (!told.has(what)) told.set(what, Date.now() - died);
    };
    await eventually("both gateways are whole", variant.bound, async () => {
      if ((await nodeCondition(controlPlane, second.name)) !== "True") note("the node is not ready");
      const whole = await Promise.all([PAIR, SINGLE].map((where) => look(where, note)));
      return whole.every(Boolean) || undefined;
    });
    await sleep(5_000);
  });
  for (const [what, at] of told) t.comment(`${name}: ${what} after ${seconds(at)}`);
  for (const [who, where, visits] of [
    ["one identity", SINGLE, single],
    ["two identities", PAIR, pair],
  ] as const)
    for (const line of tell(visits, died, told.get(`${where.name}: forgotten`) ?? 0))
      t.comment(`${name}: ${who}: ${line}`);
  const isServedFrom = (visits: Visits, at: number | undefined): void => {
    const late = visits.lost.filter((each) => each.at > died + (at ?? Infinity) + FOLLOWED_MS);
    const byOldPort = late.filter((each) => hasOldPort(each, visits.lost));
    t.comment(
      `${name}: ${byOldPort.length} of ${visits.count} lost later, by the port of a connection without an answer`,
    );
    t.equal(late.length, byOldPort.length, "no other connection is lost from then on");
  };
  isServedFrom(pair, told.get(`${PAIR.name}: forgotten`));
  isServedFrom(single, told.get(`${SINGLE.name}: whole`));
});

/**
 * Whether a connection came from a port from which one had been lost before. For two minutes the node keeps the address
 * to which it sent a packet without an answer (conntrack, SYN_SENT). The next packet from that port goes there too,
 * against kube-proxy's present rules.
 */
const hasOldPort = ({ at, port }: Visits["lost"][number], lost: Visits["lost"]): boolean =>
  lost.some((each) => each.port === port && port > 0 && each.at < at && each.at > at - 120_000);
/** Kube-proxy follows within this time. */
const FOLLOWED_MS = 2_500;
const isOnSecond = ({ status }: PodFacts): boolean => status.podIP?.startsWith("10.244.1.") === true;

/** Notes when the Service of a gateway forgets the dead node's pod, when that is evicted, and when the next one is ready. */
const look = async (where: Where, note: (what: string) => void): Promise<boolean> => {
  const pods = await podsOf(controlPlane, where);
  const [dead, living] = [pods.filter(isOnSecond), pods.filter((pod) => !isOnSecond(pod))];
  if (!(await endpointsOf(api, where)).some((address) => address.startsWith("10.244.1.")))
    note(`${where.name}: forgotten`);
  if (dead.every(({ metadata }) => metadata.deletionTimestamp !== undefined)) note(`${where.name}: evicted`);
  const isWhole = living.filter(isPodReady).length === (where.name === PAIR.name ? 2 : 1);
  if (isWhole) note(`${where.name}: whole`);
  return isWhole;
};

type Slices = {
  readonly endpoints:
    readonly { readonly addresses: readonly string[]; readonly conditions: { readonly ready: boolean } }[] | null;
};
/** The addresses of the endpoints of a gateway's Service. */
const endpointsOf = async (from: Api, { namespace, name }: Where): Promise<readonly string[]> => {
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
  const slices = await from.list<Slices>(`${path}?labelSelector=kubernetes.io/service-name%3D${name}`);
  return slices.flatMap(({ endpoints }) =>
    (endpoints ?? []).flatMap((each) => (each.conditions.ready ? each.addresses : [])),
  );
};

/** How many were lost, and why, before the Service forgot the dead pod and after it; and when the last one was. */
const tell = ({ count, lost }: Visits, died: number, forgotten: number): readonly string[] => {
  const by = (from: number, to: number): string => {
    const within = lost.filter(({ at }) => at - died >= from && at - died < to);
    const whys = Map.groupBy(within, ({ why }) => why);
    return [...whys].map(([why, all]) => `${all.length} ${why}`).join(", ") || "none";
  };
  return [
    `${lost.length} of ${count} lost, the last ${seconds((lost.at(-1)?.at ?? died) - died)} after`,
    `until the Service forgets the pod: ${by(-Infinity, forgotten)}; in the second after: ${by(forgotten, forgotten + 1_000)}; later: ${by(forgotten + 1_000, Infinity)}`,
  ];
};
