import t from "tap";
import { ClusterError } from "../../src/cluster/cluster.ts";
import { counted } from "../../src/cluster/counted.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";

const { signal } = new AbortController();
const ref = { kind: "Pod", namespace: "", name: "" } as const;

t.test("a list of live pods is counted once, by how it ended", async (t) => {
  const calls: string[] = [];
  const memory = createMemoryCluster();
  const failing = (error: Error) => ({
    ...memory,
    // eslint-disable-next-line require-yield
    livePods: async function* () {
      throw error;
    },
  });
  for (const cluster of [
    memory,
    failing(new ClusterError({ verb: "list", ref, code: 403, reason: "Forbidden", says: "no" })),
    failing(new Error("a bug")),
  ]) {
    const observed = counted(cluster, (verb, kind, code) => calls.push(`${verb} ${kind} ${code}`));
    const all = (async () => {
      for await (const pod of observed.livePods("app=flowgen", signal)) t.fail(String(pod.name));
    })();
    if (cluster === memory) await all;
    else await t.rejects(all);
  }
  t.strictSame(calls, ["list Pod 200", "list Pod 403", "list Pod 0"]);
});
