// Why a pod does not start, by its status and its Events as a kubelet writes them.
import t from "tap";
import { troubleOf } from "../../src/checks/trouble.ts";
import type { KubeObject } from "../../src/cluster/cluster.ts";

const podWith = (status: object): KubeObject => ({
  ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "gw-1", namespace: "g" } },
  status,
});
const NONE = { kind: "seen", value: [] } as const;
const event = (reason: string, message: string, time: object = {}): KubeObject => ({
  ...{ apiVersion: "v1", kind: "Event", metadata: { namespace: "g" } },
  ...{ reason, message, ...time },
});
const why = (status: object, ...events: readonly KubeObject[]) =>
  troubleOf(podWith(status), { kind: "seen", value: events }, "gateway-down");
const waiting = (reason: string, more: object = {}) => ({
  containerStatuses: [{ name: "wireguard", ready: false, state: { waiting: { reason, ...more } } }],
});

t.test("no node takes it", async (t) => {
  const message = "0/3 nodes are available";
  const conditions = [{ type: "PodScheduled", status: "False", message }];
  t.strictSame(why({ phase: "Pending", conditions }), { code: "pod-unscheduled", detail: message });
  t.match(why({ conditions: [{ type: "PodScheduled", status: "False" }] }), { detail: "" });
});

t.test("its image", async (t) => {
  for (const reason of ["ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"])
    t.strictSame(why(waiting(reason, { message: "no such tag" })), {
      code: "image-unpulled",
      detail: `container wireguard: ${reason}: no such tag`,
    });
});

t.test("no WireGuard", async (t) => {
  const message = "net.ipv4.tcp_mtu_probing stays 0\nno interface can be made: the node has no WireGuard\n";
  const setup = { name: "setup", ready: true, state: { terminated: { exitCode: 0, message } } };
  const running = { name: "wireguard", ready: true, state: { running: {} } };
  t.strictSame(why({ phase: "Running", initContainerStatuses: [setup], containerStatuses: [running] }), {
    code: "wireguard-missing",
    detail: "no interface can be made: the node has no WireGuard",
  });
});

t.test("the kubelet's Events about a pod that waits", async (t) => {
  const created = waiting("ContainerCreating");
  const device = "/dev/net/tun is not a character device";
  t.match(why(created, event("FailedMount", device)), { code: "device-missing", detail: `FailedMount: ${device}` });
  t.match(
    why(
      created,
      event("FailedCreatePodSandBox", "new", { lastTimestamp: "2026-01-02T00:00:00Z" }),
      event("FailedMount", "old", { lastTimestamp: null, eventTime: "2026-01-01T00:00:00Z" }),
      event("Scheduled", "newest", { lastTimestamp: "2026-01-03T00:00:00Z" }),
    ),
    { code: "gateway-down", detail: "FailedCreatePodSandBox: new" },
  );
  t.match(why(created), { detail: "container wireguard: ContainerCreating" });
  const unseen = troubleOf(podWith(created), { kind: "unseen", why: "forbidden" }, "no-endpoints");
  t.match(unseen, { code: "no-endpoints", detail: "container wireguard: ContainerCreating" });
});

t.test("a container that ends again and again, with its last words", async (t) => {
  const [container] = waiting("CrashLoopBackOff", { message: "back-off 10s" }).containerStatuses;
  const ended = (terminated: object) => why({ containerStatuses: [{ ...container, lastState: { terminated } }] });
  t.match(ended({ exitCode: 2, message: "config: no such key\n" }), {
    code: "gateway-down",
    detail: "container wireguard: CrashLoopBackOff: back-off 10s: it ended with 2: config: no such key",
  });
  t.match(ended({}), { detail: /: it ended with 0$/ });
  const terminated = { name: "setup", ready: false, state: { terminated: { reason: "Error", exitCode: 1 } } };
  t.match(why({ initContainerStatuses: [terminated] }), { detail: "container setup: Error" });
});

t.test("nothing: its containers run, or nothing is known", async (t) => {
  const containerStatuses = [{ name: "wireguard", ready: false, state: { running: {} } }];
  t.equal(troubleOf(podWith({ phase: "Running", containerStatuses }), NONE, "gateway-down"), undefined);
  t.strictSame(why({}), { code: "gateway-down", detail: "phase Unknown" });
});
