// The gateway's pod as the API server and the containers show it.
import type { ControlPlane } from "../control-plane/control-plane.ts";
import { kubectl } from "../control-plane/webhook.ts";

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
export const GATEWAY: Where = { namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway" };

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

export const isReady = (pod: PodFacts): boolean => readyCondition(pod)?.status === "True";
export const readyCondition = ({ status }: PodFacts) => status.conditions?.find(({ type }) => type === "Ready");
export const restartsOf = ({ status }: PodFacts): number =>
  (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);

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
