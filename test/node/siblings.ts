// A gateway of two identities on two real nodes. Clients make new connections all the time while its pods are deleted,
// drained, rolled and broken. Lost connections are counted. A gateway of one identity gets the same changes at the same
// moment.
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { DEFAULT_LIMITS } from "../lab/control-plane/flags.ts";
import type { Visits } from "../lab/vpn/visits.ts";
import { experience, linesOf } from "../lab/node/clients.ts";
import { execIn, isPodReady, type PodFacts, podsOf } from "../lab/node/gateway.ts";
import { CLIENTS, pairConfig, PAIR, SINGLE, startIdentities, tellVisits } from "../lab/node/identities.ts";
import { connectsOf } from "../lab/node/metrics.ts";
import { countLeaks } from "../lab/node/on-prem.ts";
import { startSecondNode } from "../lab/node/second.ts";
import { eventually, until } from "../wait.ts";
import { seconds } from "./figures.ts";

const changes = { drainSeconds: 10 };
/** Kube-proxy of each node follows within this time. */
const FOLLOWED_MS = 2_500;

t.setTimeout(400_000);
const lab = await startIdentities(t, changes, DEFAULT_LIMITS);
const { kubectl, installation, settled, visitBoth, node } = lab;
const leaks = countLeaks();
const second = await startSecondNode(node);
t.teardown(second.stop);

type Row = readonly [step: string, documented: string, single: string, pair: string];
const rows: Row[] = [["step", "documented way", "one identity", "two identities"]];

/** The visits of the pair, and those that `work` counts from a moment on. */
type Felt = { readonly pair: Visits; readonly single: Visits; readonly after: (at: number) => Visits["lost"] };

/** Does `work` while clients of both gateways make new connections, and notes the lost ones. */
const step = async (name: string, documented: string, work: () => Promise<unknown>): Promise<Felt> => {
  const begun = Date.now();
  const { pair, single } = await visitBoth(async () => {
    await sleep(500);
    await work();
    await sleep(FOLLOWED_MS);
  });
  const cell = async (visits: Visits, client: (typeof CLIENTS)["pair" | "single"]): Promise<string> => {
    const { failures, queries } = experience(await linesOf(client), begun, Date.now());
    return `${tellVisits(visits)}; ${failures.length} of ${queries} queries`;
  };
  rows.push([name, documented, await cell(single, CLIENTS.single), await cell(pair, CLIENTS.pair)]);
  return { pair, single, after: (at) => pair.lost.filter((each) => each.at >= at) };
};
/** No new connection is lost: neither a visitor's nor a query of the flowgen pod. */
const isServed = async (t: Test, { pair }: Felt, from: number): Promise<void> => {
  t.strictSame(pair.lost, [], `0 of ${pair.count} lost`);
  t.ok(pair.count > 100, "many came");
  const { failures, queries } = experience(await linesOf(CLIENTS.pair), from, Date.now());
  t.strictSame(failures, [], `0 of ${queries} queries lost`);
};
/** Sessions have the drain of their pod, which ends after `from`. */
const isDrained = async (t: Test, from: number): Promise<void> => {
  const lost = (await linesOf(CLIENTS.pair, from)).filter(({ kind }) => kind === "session");
  const early = lost.filter(({ at }) => at < from + (changes.drainSeconds - 1) * 1_000);
  t.strictSame(early, [], "no session ended before its pod's drain");
};
const nodeOf = (pod: PodFacts): string => (pod.status.podIP?.startsWith("10.244.0.") ? "node" : second.name);
const inGateway = `--namespace=${PAIR.namespace}`;

t.test("a second identity is added to a gateway that is in use", async (t) => {
  const begun = Date.now();
  const felt = await step("a second identity is added", "", async () => {
    await installation.upgrade(pairConfig(["wireguard-a", "wireguard-b"], changes));
    await settled(2);
  });
  await isServed(t, felt, begun);
  t.strictSame(felt.single.lost, [], "the other gateway is left alone");
  const { pair } = await settled(2);
  t.strictSame(new Set(pair.map(nodeOf)), new Set(["node", second.name]), "its pods are on two nodes");
});

t.test("new connections are spread over the pods", async (t) => {
  const { pair } = await settled(2);
  const before = await Promise.all(pair.map(connectsOf));
  await visitBoth(() => sleep(6_000));
  const after = await Promise.all(pair.map(connectsOf));
  const each = after.map((count, index) => count - (before[index] ?? 0));
  const all = each.reduce((sum, count) => sum + count, 0);
  t.comment(`spread: ${each.join(" and ")} of ${all} connections`);
  for (const count of each) t.ok(count > 0.3 * all && count < 0.7 * all, `${count} of ${all}`);
});

t.test("a pod is deleted", async (t) => {
  const begun = Date.now();
  const { pair, single } = await settled(2);
  const names = [pair[0], single].map((pod) => pod?.metadata.name ?? "");
  const felt = await step("pod deleted", "gap 13.1 s", async () => {
    await kubectl(["delete", "pod", ...names, inGateway, "--wait=false"]);
    await settled(2);
  });
  await isServed(t, felt, begun);
  await isDrained(t, begun);
  t.strictSame(new Set((await settled(2)).pair.map(nodeOf)), new Set(["node", second.name]), "again on two nodes");
});

t.test("a node is drained", async (t) => {
  const begun = Date.now();
  const drained = nodeOf((await settled(2)).single);
  const options = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=90s"];
  const felt = await step("node drained", "not measured", async () => {
    const selector = "--pod-selector=app.kubernetes.io/component=wireguard-gateway";
    await kubectl(["drain", drained, ...options, selector]);
    await settled(2);
  });
  await kubectl(["uncordon", drained]);
  await isServed(t, felt, begun);
  await isDrained(t, begun);
  t.notOk((await settled(2)).pair.map(nodeOf).includes(drained), "no pod is left there");
});

t.test("a change of the config replaces all pods", async (t) => {
  const begun = Date.now();
  const rolled = { ...changes, podAnnotations: { rolled: "yes" } };
  const count = async (): Promise<number> => {
    const marks = "jsonpath={.items[*].metadata.annotations.rolled}";
    return (await kubectl(["get", "pods", inGateway, "-o", marks])).split(" ").filter((mark) => mark === "yes").length;
  };
  const felt = await step("all rolled", "450 of 618 queries lost, gap 23.7 s", async () => {
    await installation.upgrade(pairConfig(["wireguard-a", "wireguard-b"], rolled));
    await eventually("all have the change", 120_000, async () => (await count()) === 3 || undefined);
    await settled(2);
  });
  await isServed(t, felt, begun);
  await isDrained(t, begun);
});

const podOf = async (name: "pair-b"): Promise<PodFacts> => {
  const pod = (await settled(2)).pair.find(({ metadata }) => metadata.name.startsWith(`${name}-`));
  if (pod === undefined) throw new Error(`${name} has no pod`);
  return pod;
};

t.test("the key of one is rotated, and the VPN server knows both for a while", async (t) => {
  const begun = Date.now();
  const pods = [await podOf("pair-b"), (await settled(2)).single];
  const isInUse = (identity: "wireguard-b" | "wireguard-c"): boolean => lab.hasHandshake(identity);
  const felt = await step("key rotated", "no recovery without a restart", async () => {
    await lab.rotate("wireguard-b", "10.13.13.5");
    await lab.rotate("wireguard-c", "10.13.13.6");
    // The kubelet looks at a pod's Secrets when the pod changes, else within a minute and a half.
    for (const { metadata } of pods) await kubectl(["annotate", "pod", metadata.name, inGateway, "woken=yes"]);
    await until("both keys are in use", () => isInUse("wireguard-b") && isInUse("wireguard-c"), 60_000);
    await settled(2);
  });
  await isServed(t, felt, begun);
  t.equal((await podOf("pair-b")).metadata.uid, pods[0]?.metadata.uid, "the same pod");
});

t.test("the interface of one is down", async (t) => {
  const hold =
    "end=$(($(date +%s) + 7)); date +%s%3N; while [ $(date +%s) -lt $end ]; do ip link set wg0 down; sleep 0.05; done";
  const [one, alone] = [await podOf("pair-b"), (await settled(2)).single];
  let from = NaN;
  const felt = await step("interface down for 7 s", "dead for good, 386 packets leaked", async () => {
    const [held] = await Promise.all([
      execIn(node.controlPlane, one, PAIR, "wireguard", hold),
      execIn(node.controlPlane, alone, SINGLE, "wireguard", hold),
    ]);
    from = Number(held.stdout);
    await settled(2);
  });
  t.ok(from > 0, "it was down");
  t.strictSame(felt.after(from + 3_000), [], "0 lost from 3 s after");
  t.equal(leaks(), 0, "nothing left by the pods' own network");
});

t.test("the VPN server does not answer one", async (t) => {
  let [from, seen] = [0, 0];
  const felt = await step("VPN server of one silent", "never noticed", async () => {
    from = Date.now();
    lab.silence("wireguard-b");
    lab.silence("wireguard-c");
    seen = await eventually("its pod is not ready", 190_000, async () => {
      const pod = (await podsOf(node.controlPlane, PAIR)).find(({ metadata }) => metadata.name.startsWith("pair-b-"));
      return pod !== undefined && !isPodReady(pod) ? Date.now() : undefined;
    });
    await sleep(FOLLOWED_MS + 3_000);
  });
  t.comment(`not ready after ${seconds(seen - from)}`);
  t.strictSame(felt.after(from + 185_000), [], "0 lost from 185 s after");
  t.strictSame(felt.after(seen + FOLLOWED_MS), [], "and from the moment when it is known");
});

t.test("figures", async (t) => {
  for (const cells of rows) t.comment(cells.map((cell, index) => cell.padEnd(index === 0 ? 28 : 40)).join(" | "));
  t.equal(leaks(), 0, "nothing left by the pods' own network");
});
