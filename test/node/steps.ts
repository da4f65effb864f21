// The steps that the story has for each forwarder: a second target, the gateway's pod deleted, its interface set down.
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import type { ControlPlane } from "../lab/control-plane/control-plane.ts";
import { kubectl } from "../lab/control-plane/webhook.ts";
import { run as runOn } from "../lab/vpn/hosts.ts";
import type { Vpn } from "../lab/vpn/vpn.ts";
import { clientDeployment, experience, linesOf } from "../lab/node/clients.ts";
import type { Client, ClientLine } from "../lab/node/clients.ts";
import { seconds } from "./figures.ts";
import type { ForwarderFigures } from "./figures.ts";
import { execIn, podsOf, replacePod, restartsOf, runningPod } from "../lab/node/gateway.ts";
import type { Where } from "../lab/node/gateway.ts";
import { eventually } from "../wait.ts";

export type NodeScene = {
  readonly controlPlane: ControlPlane;
  readonly gateway: Where;
  readonly vpn: Vpn;
  /** The packets to private addresses that pods sent by their own network. */
  readonly leaks: () => number;
  readonly measured: ForwarderFigures;
  /** A deployment that queries by the gateway since before the first step. */
  readonly first: Client;
};

/** The first row of each pod of a deployment since `from`, as soon as `count` pods have one. */
export const firstRows = (
  controlPlane: ControlPlane,
  client: Client,
  from: number,
  count: number,
): Promise<readonly ClientLine[]> =>
  eventually(
    `rows of ${count} pods of ${client.name}`,
    60_000,
    async () => {
      const rows = (await linesOf(client, from)).filter(({ kind }) => kind === "row");
      const byPod = Map.groupBy(rows, ({ pod }) => pod);
      return byPod.size < count ? undefined : [...byPod.values()].flatMap((lines) => lines.slice(0, 1));
    },
    async () => {
      const lines = (await linesOf(client, from)).slice(-3).map(({ kind, text }) => `${kind} ${text}`);
      return [...lines, await kubectl(controlPlane, ["get", "pods,events", `--namespace=${client.namespace}`])].join(
        "\n",
      );
    },
  );

/** `second`, whose target is new to the gateway, queries while the first one does. */
export const secondTarget = async (t: Test, scene: NodeScene, second: Client, target: string): Promise<void> => {
  const { controlPlane, gateway, measured, first } = scene;
  const before = await runningPod(controlPlane, gateway);
  const begun = Date.now();
  await kubectl(
    controlPlane,
    ["apply", "-f", "-"],
    clientDeployment({ ...second, target, annotations: { "flowgen.io/gateway": gateway.name } }),
  );
  const [row] = await firstRows(controlPlane, second, begun, 1);
  t.match(row, { text: target });
  const took = (row?.at ?? Infinity) - begun;
  await sleep(2_000);
  const felt = experience(await linesOf(first), begun - 1_000, Date.now());
  t.ok(measured.isInTime("second target: apply to first row", took));
  measured.note(
    "second target: queries of the first lost",
    `${felt.failures.length} of ${felt.queries}, gap ${seconds(felt.gap)}`,
  );
  t.strictSame([felt.failures, felt.lostSessions], [[], 0], "not one query of the first failed, no session was lost");
  const after = await runningPod(controlPlane, gateway);
  t.equal(after.metadata.uid, before.metadata.uid, "the same pod");
  t.equal(restartsOf(after), 0, "not restarted");
};

/** Endpoints from which the VPN server was spoken to, each once in a row, until `stop`. */
const watchEndpoints = (vpn: Vpn): (() => readonly string[]) => {
  const seen: string[] = [];
  const look = (): void => {
    const endpoint = runOn(vpn.host, "wg show wg0 endpoints | cut -f 2").trim();
    if (endpoint !== seen.at(-1)) seen.push(endpoint);
  };
  const timer = setInterval(look, 50);
  return () => {
    clearInterval(timer);
    return seen;
  };
};

export const podDeleted = async (t: Test, scene: NodeScene): Promise<void> => {
  const { controlPlane, gateway, vpn, measured, first } = scene;
  const endpoints = watchEndpoints(vpn);
  const begun = Date.now();
  const next = await replacePod(controlPlane, gateway);
  const readyAt = Date.now();
  await firstRows(controlPlane, first, readyAt + 500, 3);
  const gone = await eventually("the old pod is gone", 30_000, async () =>
    (await podsOf(controlPlane, gateway)).length === 1 ? Date.now() : undefined,
  );
  const seen = endpoints();
  const felt = experience(await linesOf(first), begun - 1_000, Date.now());
  t.comment(`ready after ${readyAt - begun} ms, old pod gone after ${gone - begun} ms, server saw ${seen.join(" ")}`);
  const failed = `, ${felt.failures.length} of ${felt.queries} queries failed`;
  t.ok(measured.isInTime("gateway pod deleted: gap", felt.gap, failed));
  t.equal(
    seen.length,
    2,
    "one identity at any time: the server was spoken to by the old pod, then by the new one alone",
  );
  t.equal(restartsOf(next), 0);
};

/** Under load: nothing may leave by the pod's own network meanwhile. */
export const interfaceDown = async (t: Test, scene: NodeScene): Promise<void> => {
  const { controlPlane, gateway, leaks, measured, first } = scene;
  const before = leaks();
  const hold = "end=$(($(date +%s) + 5)); while [ $(date +%s) -lt $end ]; do ip link set wg0 down; sleep 0.05; done";
  t.match(await execIn(controlPlane, await runningPod(controlPlane, gateway), gateway, "wireguard", hold), { code: 0 });
  const upAgainAt = Date.now();
  const rows = await firstRows(controlPlane, first, upAgainAt, 3);
  const back = Math.max(...rows.map(({ at }) => at)) - upAgainAt;
  measured.note("interface down: packets leaked", String(leaks() - before));
  t.ok(measured.isInTime("interface up again: gap", back));
  t.equal(leaks() - before, 0, "no packet to a private server left by the pod's own network");
};
