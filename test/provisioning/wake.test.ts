import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Cluster } from "../../src/cluster/cluster.ts";
import { podLabels } from "../../src/core/gateway/manifests.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { TABLE_ANNOTATION, wakeKubelet } from "../../src/provisioning/converge.ts";
import { configOf, gatewayOf } from "../making.ts";

const gateway = gatewayOf(
  configOf("gateways: [{name: gw, namespace: ns, tunnels: [{name: wg0, secretNames: [a, b]}]}]"),
);

t.test("every pod of the gateway gets the annotation of a new table, also where one of them is gone", async (t) => {
  const cluster = createMemoryCluster();
  const { signal } = new AbortController();
  for (const name of ["gw-1", "gw-2"])
    await cluster.create(
      { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "ns", labels: podLabels(gateway) }, spec: {} },
      signal,
    );
  const slow: Cluster = {
    ...cluster,
    apply: async (object, ...more) => {
      if (object.metadata.name === "gw-1") cluster.remove({ kind: "Pod", namespace: "ns", name: "gw-1" });
      else await sleep(50);
      return cluster.apply(object, ...more);
    },
  };
  const table = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", namespace: "ns", resourceVersion: "7" } };
  await wakeKubelet(slow, gateway, table as never, signal);
  const left = cluster.all().filter(({ kind }) => kind === "Pod");
  t.strictSame(
    left.map(({ metadata }) => [metadata.name, metadata.annotations?.[TABLE_ANNOTATION]]),
    [["gw-2", "7"]],
  );
});
