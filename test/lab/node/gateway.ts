// The gateway's pod as the API server and the containers show it.
import type { ControlPlane } from "../control-plane/control-plane.ts";
import { kubectl } from "../control-plane/webhook.ts";
import { eventually } from "../../wait.ts";

export type PodFacts = {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly containers: readonly { readonly name: string; readonly securityContext: object }[] };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly lastTransitionTime: string;
    }[];
    readonly containerStatuses?: readonly {
      readonly name: string;
      readonly restartCount: number;
      readonly ready: boolean;
    }[];
  };
};

export type Where = { readonly namespace: string; readonly name: string };
export const NODE_GATEWAY: Where = { namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway" };

/** The pods of a gateway, those that end among them. */
export const podsOf = async (controlPlane: ControlPlane, { namespace, name }: Where): Promise<readonly PodFacts[]> => {
  const selector = `app.kubernetes.io/instance=${name},app.kubernetes.io/component=wireguard-gateway`;
  const json = await kubectl(controlPlane, ["get", "pods", `--namespace=${namespace}`, "-l", selector, "-o", "json"]);
  return (JSON.parse(json) as { items: PodFacts[] }).items;
};

/** Its one pod. */
export const runningPod = async (controlPlane: ControlPlane, where: Where): Promise<PodFacts> => {
  const [pod, ...more] = (await podsOf(controlPlane, where)).filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined,
  );
  if (pod === undefined || more.length > 0) throw new Error(`${where.name} has ${more.length} pods too many, or none`);
  return pod;
};

export const isPodReady = (pod: PodFacts): boolean => readyCondition(pod)?.status === "True";
export const readyCondition = ({ status }: PodFacts) => status.conditions?.find(({ type }) => type === "Ready");
export const restartsOf = ({ status }: PodFacts): number =>
  (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);

/** Deletes its pod; returns the next one once that is ready. The one before has given its tunnels up by then. */
export const replacePod = async (controlPlane: ControlPlane, where: Where): Promise<PodFacts> => {
  const before = await runningPod(controlPlane, where);
  await kubectl(controlPlane, [
    "delete",
    "pod",
    before.metadata.name,
    `--namespace=${where.namespace}`,
    "--wait=false",
  ]);
  return eventually("another pod is ready", 60_000, async () => {
    const pod = (await podsOf(controlPlane, where)).find(({ metadata }) => metadata.uid !== before.metadata.uid);
    return pod !== undefined && isPodReady(pod) ? pod : undefined;
  });
};

/** The Secret of a tunnel wg0, to apply. */
export const tunnelSecret = (name: string, config: string): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: NODE_GATEWAY.namespace },
    stringData: { "wg0.conf": config },
  });

/** Runs a command in a container of its pod. */
export const execIn = (controlPlane: ControlPlane, pod: PodFacts, where: Where, container: string, script: string) =>
  controlPlane.kubectl([
    "exec",
    `--namespace=${where.namespace}`,
    pod.metadata.name,
    "-c",
    container,
    "--",
    "sh",
    "-c",
    script,
  ]);
