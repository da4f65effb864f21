import { collected } from "../collected.ts";
import t from "tap";
import { ClusterError, isDeadline, type KubeObject, refOf } from "../../src/cluster/cluster.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { fault } from "../../src/emulator/store.ts";
import { configMap, contract, contractDeployment, fails, service, lateSignal } from "../cluster-port/contract.ts";

contract(t, "memory", () => {
  const memory = createMemoryCluster();
  return Promise.resolve({
    cluster: memory,
    namespace: "contract",
    editAs: (manager, ref, change) => Promise.resolve(memory.edit(manager, ref, change)),
    remove: (ref) => Promise.resolve(void memory.remove(ref)),
    done: () => Promise.resolve(),
  });
});

const object = configMap("team-a", "a", { k: "v" });

void t.test("a fault before the call: no effect", async (t) => {
  const memory = createMemoryCluster({
    before: (call) => {
      if (call.verb === "apply") throw fault(call, 500, "InternalError", "etcdserver: request timed out");
      return undefined;
    },
  });
  const error = await fails(t, memory.apply(object, lateSignal()), 500, "InternalError");
  t.equal(error.message, "cannot apply configmaps team-a/a: etcdserver: request timed out (500 InternalError)");
  t.strictSame(memory.all(), []);
});

void t.test("a fault after the call: the answer is lost, not the effect", async (t) => {
  const memory = createMemoryCluster({
    after: (call) => Promise.reject(fault(call, 0, "Unreachable", "socket hang up")),
  });
  await fails(t, memory.create(object, lateSignal()), 0, "Unreachable");
  t.match(memory.all(), [{ data: { k: "v" } }]);
});

/** As AbortSignal.timeout, but it keeps the process alive: nothing else does while a call stalls. */
const after = (ms: number): AbortSignal => {
  const controller = new AbortController();
  setTimeout(() => {
    controller.abort("late");
  }, ms);
  return controller.signal;
};

void t.test("latency ends at the deadline, before or after the effect", async (t) => {
  const stalled = (): Promise<void> => new Promise(() => undefined);
  const asked = createMemoryCluster({ before: stalled });
  const answered = createMemoryCluster({ after: stalled });
  for (const [memory, count] of [
    [asked, 0],
    [answered, 1],
  ] as const) {
    const error = await fails(t, memory.apply(object, after(5)), 0, "DeadlineExceeded");
    t.ok(isDeadline(error));
    t.equal(error.cause, "late");
    t.equal(memory.all().length, count);
  }
  const slow = createMemoryCluster({ before: () => new Promise((resolve) => setTimeout(resolve, 2)) });
  t.match(await slow.apply(object, lateSignal()), { data: { k: "v" } });
});

void t.test("live pods: those that have not ended, of all namespaces, by their labels", async (t) => {
  const memory = createMemoryCluster();
  const pod = (
    name: string,
    namespace: string,
    labels: Readonly<Record<string, string>>,
    phase?: string,
  ): KubeObject => ({
    ...{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace, labels } },
    ...(phase !== undefined && { status: { phase } }),
  });
  const add = async (each: KubeObject): Promise<void> => {
    await memory.create(each, lateSignal());
    memory.edit("kubelet", refOf(each), (made) => ({
      ...made,
      ...(each["status"] !== undefined && { status: each["status"] }),
    }));
  };
  await add(pod("a", "one", { app: "x" }));
  await add(pod("b", "two", { app: "x", tier: "1" }, "Running"));
  await add(pod("c", "two", { app: "x" }, "Succeeded"));
  await add(pod("d", "two", { app: "x" }, "Failed"));
  await add(pod("e", "two", { app: "y" }));
  const names = async (selector: string): Promise<readonly (string | undefined)[]> =>
    (await collected(memory.livePods(selector, lateSignal()))).map(({ name }) => name);
  t.strictSame(await names("app"), ["a", "b", "e"]);
  t.strictSame(await names("app=x"), ["a", "b"]);
  t.strictSame(await names("app=x,tier"), ["b"]);
});

void t.test("time, uids, names and addresses repeat from run to run", async (t) => {
  const run = async (): Promise<readonly KubeObject[]> => {
    const memory = createMemoryCluster({ now: () => 1_700_000_000_000 });
    await memory.create({ ...object, metadata: { namespace: "team-a", generateName: "a-" } }, lateSignal());
    await memory.apply(service("team-a", "s", [{ port: 80 }]), lateSignal());
    return memory.all();
  };
  const objects = await run();
  t.match(objects[0]?.metadata.creationTimestamp, "2023-11-14T22:13:20Z");
  t.strictSame(await run(), objects);
});

void t.test("a returned object is frozen, and a stored one is a copy", async (t) => {
  const memory = createMemoryCluster();
  const data = { k: "v" };
  const made = await memory.apply(configMap("team-a", "a", data), lateSignal());
  data.k = "changed";
  t.match(await memory.get(refOf(object), lateSignal()), { data: { k: "v" } });
  t.ok(Object.isFrozen(made) && Object.isFrozen(made.metadata) && Object.isFrozen(made["data"]));
  t.match(await memory.apply(configMap("team-a", "a", data), lateSignal()), { data: { k: "changed" } });
});

void t.test("a controller may write status; other writers keep it", async (t) => {
  const memory = createMemoryCluster();
  const made = await memory.apply(
    { ...contractDeployment("team-a", "d", []), status: { readyReplicas: 1 } },
    lateSignal(),
  );
  t.equal(made["status"], undefined);
  const ready = memory.edit("controller", refOf(made), (read) => ({ ...read, status: { readyReplicas: 1 } }));
  t.equal(ready.metadata.generation, 1);
  t.match(await memory.apply(contractDeployment("team-a", "d", []), lateSignal()), { status: { readyReplicas: 1 } });
  t.equal(
    memory.edit("controller", refOf(made), (read) => read),
    ready,
    "an edit that changes nothing",
  );
});

// not in the contract: a real API server admits a pod only after a controller has made its namespace's ServiceAccount
void t.test("a pod begins Pending", async (t) => {
  const spec = { containers: [{ name: "main", image: "example/main:1" }] };
  const memory = createMemoryCluster();
  const metadata = { namespace: "team-a", name: "p", labels: { app: "x" } };
  const made = await memory.create({ apiVersion: "v1", kind: "Pod", metadata, spec }, lateSignal());
  t.match(made, { metadata: { generation: 1 }, status: { phase: "Pending" } });
  memory.edit("kubelet", refOf(made), (read) => ({ ...read, status: { phase: "Running" } }));
  t.match(await memory.list("Pod", "team-a", { app: "x" }, lateSignal()), [{ status: { phase: "Running" } }]);
});

void t.test("an edit of what is not there is 404", (t) => {
  t.throws(() => createMemoryCluster().edit("somebody", refOf(object), (read) => read), ClusterError);
  t.end();
});
