/** Reads what there is of one gateway, its pods' own metrics among it. */
import type { KubeObject } from "../../cluster/cluster.ts";
import { refOf } from "../../cluster/cluster.ts";
import type { Reader } from "../../cluster/reader.ts";
import { isSeen, type Seen } from "../../checks/finding.ts";
import type { GatewaySight } from "../../checks/gateway.ts";
import { identitiesIn, privateKeyOf } from "../../checks/identities.ts";
import { isRunning, metricsPortOf } from "../../checks/objects.ts";
import { type GatewayPod, identityIn } from "../../checks/pods.ts";
import type { PlacedGateway } from "../../core/config/config.ts";
import { podLabels, tableName } from "../../core/gateway/manifests.ts";
import { GATEWAY_LABEL, MANAGED_BY, MANAGER } from "../../core/names.ts";
import { publicKeyOf } from "./public-key.ts";
import { getSeen, listSeen, readEvents, seen, soon } from "./read.ts";

/** All that there is of one gateway. */
export const readGatewaySight = async (reader: Reader, gateway: PlacedGateway): Promise<GatewaySight> => {
  const { namespace, name, tunnels } = gateway;
  const names = [...new Set(tunnels.flatMap(({ secretNames }) => secretNames))];
  const [about, table, policy, deployment, siblings, services, slices, pods, secrets] = await Promise.all([
    getSeen(reader, "Namespace", "", namespace),
    getSeen(reader, "ConfigMap", namespace, tableName(gateway)),
    getSeen(reader, "NetworkPolicy", namespace, name),
    getSeen(reader, "Deployment", namespace, name),
    listSeen(reader, "Deployment", namespace, { [MANAGED_BY]: MANAGER, [GATEWAY_LABEL]: name }),
    listSeen(reader, "Service", namespace),
    listSeen(reader, "EndpointSlice", namespace),
    listSeen(reader, "Pod", namespace, podLabels(gateway)),
    Promise.all(names.map(async (secret) => [secret, await getSeen(reader, "Secret", namespace, secret)] as const)),
  ]);
  const secretsByName = new Map(secrets);
  return {
    ...{ gateway, namespace: about, table, policy, deployment, siblings, services, slices, secrets: secretsByName },
    pods: isSeen(pods) ? { kind: "seen", value: await readPods(reader, pods.value) } : pods,
    publicKeys: publicKeysOf(gateway, secretsByName),
  };
};

const publicKeysOf = (gateway: PlacedGateway, secrets: GatewaySight["secrets"]): ReadonlyMap<string, string> =>
  new Map(
    identitiesIn(gateway).flatMap(({ tunnel, secretName }) => {
      const key = publicKeyOf(privateKeyOf(tunnel, secretName, secrets) ?? "");
      return key === undefined ? [] : [[identityIn(tunnel, secretName), key] as const];
    }),
  );

/** The pods that do not end, with what the kubelet and they themselves say. */
const readPods = (reader: Reader, pods: readonly KubeObject[]): Promise<readonly GatewayPod[]> =>
  Promise.all(
    pods
      .filter(({ metadata }) => metadata["deletionTimestamp"] === undefined)
      .map(async (pod) => {
        const [events, metrics] = await Promise.all([readEvents(reader, pod), readMetrics(reader, pod)]);
        return { pod, events, metrics };
      }),
  );

/** The metrics of a gateway's pod, ready or not, through the API server. */
const readMetrics = async (reader: Reader, pod: KubeObject): Promise<Seen<string | undefined>> => {
  const port = metricsPortOf(pod);
  return !isRunning(pod) || port === undefined
    ? { kind: "seen", value: undefined }
    : seen(reader.proxied(refOf(pod), port, "/metrics", soon()));
};
