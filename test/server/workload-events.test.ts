import t from "tap";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { refused, skipped } from "../../src/core/admission.ts";
import { reject } from "../../src/core/reasons.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import type { Review } from "../../src/server/review.ts";
import { workloadEvents } from "../../src/server/workload-events.ts";
import { podOf } from "../making.ts";

const refusal = refused(reject("target-not-allowed", "192.168.0.5:1433"), "enforce");
const owned = (name: string, more: Partial<Review> = {}): Review => ({
  uid: "1",
  namespace: "team-a",
  dryRun: false,
  pod: { ...podOf(undefined), metadata: { labels: { "pod-template-hash": "abc" } } },
  text: "",
  podName: undefined,
  owner: { apiVersion: "apps/v1", kind: "ReplicaSet", name, uid: `uid of ${name}` },
  ...more,
});
const setup = () => {
  const cluster = createMemoryCluster();
  let now = 0;
  const tell = workloadEvents(cluster, () => now);
  const events = async (): Promise<readonly KubeObject[]> => {
    await new Promise((resolve) => setImmediate(resolve));
    return cluster.all().filter(({ kind }) => kind === "Event");
  };
  return { cluster, tell, events, wait: (ms: number) => (now += ms) };
};
const deployment = (name: string): KubeObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace: "team-a" },
  spec: {},
});

t.test("about the Deployment by its uid, else about the owner", async (t) => {
  const { cluster, tell, events } = setup();
  const { metadata } = await cluster.create(deployment("orders"), AbortSignal.timeout(10_000));
  tell(owned("orders-abc"), refusal);
  t.match(await events(), [
    {
      reason: "PodRefused",
      type: "Warning",
      message: /^target-not-allowed: 192\.168\.0\.5:1433: /,
      involvedObject: { apiVersion: "apps/v1", kind: "Deployment", name: "orders", uid: metadata.uid },
    },
  ]);
  const alone = setup();
  for (const name of ["gone-abc", "orders-xyz"]) alone.tell(owned(name), refusal);
  const rollout = { apiVersion: "argoproj.io/v1alpha1", kind: "ReplicaSet", name: "orders-abc", uid: "of another" };
  alone.tell(owned("", { owner: rollout }), refusal);
  t.match(
    (await alone.events()).map(({ involvedObject }) => involvedObject),
    [
      { kind: "ReplicaSet", name: "gone-abc", uid: "uid of gone-abc" },
      { kind: "ReplicaSet", name: "orders-abc", apiVersion: "argoproj.io/v1alpha1" },
      { kind: "ReplicaSet", name: "orders-xyz" },
    ],
  );
});

t.test(
  "once in ten minutes for an owner and a reason; none in a dry run, without an owner, for another outcome",
  async (t) => {
    const { tell, events, wait } = setup();
    tell(owned("a"), refused(reject("target-not-allowed", "x"), "audit"));
    tell(owned("a"), skipped("disabled"));
    tell(owned("a", { dryRun: true }), refusal);
    tell(owned("a", { owner: undefined }), refusal);
    t.equal((await events()).length, 0);
    for (let count = 0; count < 5; count += 1) tell(owned("a"), refusal);
    t.equal((await events()).length, 1, "the dry run is not the first");
    tell(owned("a"), refused(reject("gateway-full", "gw"), "enforce"));
    t.equal((await events()).length, 2);
    wait(11 * 60_000);
    tell(owned("a"), refusal);
    t.equal((await events()).length, 3);
  },
);

t.test("no more than 60 a minute; an owner without one gets it later", async (t) => {
  const { tell, events, wait } = setup();
  for (let count = 0; count < 100; count += 1) tell(owned(`a${count}`), refusal);
  t.equal((await events()).length, 60);
  wait(60_000);
  tell(owned("a99"), refusal);
  t.equal((await events()).length, 61);
});

t.test("a long message is cut, and a failed call has no effect", async (t) => {
  const { tell, events } = setup();
  tell(owned("a"), refused(reject("target-not-allowed", "x".repeat(5000)), "enforce"));
  t.equal(String((await events())[0]?.["message"]).length, 1024);
  const denied = createMemoryCluster({ before: () => Promise.reject(new Error("403")) });
  workloadEvents(denied)(owned("a"), refusal);
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(denied.all(), []);
});
