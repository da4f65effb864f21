/** Two configs at once in a schedule: each process puts its own in force at most once. */
import type { Cluster, KubeObject } from "../../src/cluster/cluster.ts";
import type { Config } from "../../src/core/config/config.ts";
import type { MemoryCluster } from "../../src/emulator/memory.ts";
import { intentIn, intentOf } from "../../src/provisioning/intent.ts";
import { configOf, gatewayOf, scripts } from "../making.ts";

/** The configs of a schedule: the last one is in force when a new process has served a pod by it. */
export const configsFor = (yaml: string): readonly (readonly Config[])[] => {
  const other = yaml.replace("tunnels:", "podAnnotations: {other: config}\n    tunnels:");
  return [[configOf(yaml)], [configOf(yaml), configOf(other)], [configOf(yaml), configOf(`revision: 2\n${other}`)]];
};

const objectIn = (cluster: MemoryCluster, kind: string, name: string): KubeObject | undefined =>
  cluster.all().find((object) => object.kind === kind && object.metadata.name === name);

const inForce = (cluster: MemoryCluster): string | undefined =>
  intentIn(objectIn(cluster, "ConfigMap", "flowgen-wireguard-gateway-forwards"))?.hash;

/** Calls `wrong` for a process that puts one intent in force for a second time. */
export const watchIntents = (cluster: MemoryCluster, wrong: (error: Error) => void) => {
  const changes = new Map<string, number>();
  return (process: number): Cluster => ({
    ...cluster,
    apply: async (object, signal) => {
      const before = inForce(cluster);
      const applied = await cluster.apply(object, signal);
      const after = inForce(cluster);
      if (before === after) return applied;
      const key = `process ${process} and intent ${after}`;
      const count = (changes.get(key) ?? 0) + 1;
      changes.set(key, count);
      if (count > 1) wrong(new Error(`two configs: ${key}: in force for the ${count}nd time`));
      return applied;
    },
  });
};

/** The gateway is the last config's. */
export const checkIntent = (cluster: MemoryCluster, config: Config): void => {
  const { hash } = intentOf(config, gatewayOf(config), scripts);
  if (inForce(cluster) !== hash) throw new Error("two configs: the last one is not in force");
  const { podAnnotations } = gatewayOf(config);
  const spec = objectIn(cluster, "Deployment", "flowgen-wireguard-gateway")?.["spec"] as {
    template: { metadata: { annotations: Record<string, string> } };
  };
  if (spec.template.metadata.annotations["other"] !== podAnnotations["other"])
    throw new Error("two configs: the Deployment is another one's");
};
