/**
 * Reads the objects for `check`. An object that the user may not read, or that the API server does not return, is
 * unseen, with the reason.
 */
import { type Cluster, ClusterError, type Kind, type KubeObject, refOf } from "../../cluster/cluster.ts";
import type { Reader, Right } from "../../cluster/reader.ts";
import { isReady } from "../../cluster/ready.ts";
import { isSeen, type Seen } from "../../checks/finding.ts";
import { dataOf, podSpecOf } from "../../checks/objects.ts";
import { type Reach, probePod } from "../../checks/reach.ts";
import { placedGateways } from "../../core/config/choose.ts";
import type { Config, PlacedGateway } from "../../core/config/config.ts";
import { gatewayPlaceOf, siblingNames } from "../../core/config/siblings.ts";
import { hasSiblings } from "../../core/gateway/siblings.ts";
import { scriptsName, tableName } from "../../core/gateway/manifests.ts";
import { policyNames } from "../../core/gateway/policy.ts";
import { MANAGED_BY, MANAGER } from "../../core/names.ts";

/** One answer of the API server, in milliseconds. */
const ANSWER_MS = 10_000;
export const soon = (): AbortSignal => AbortSignal.timeout(ANSWER_MS);

/** The value, or why it was not read. A fault of the program is thrown. */
export const seen = async <T>(work: Promise<T>): Promise<Seen<T>> => {
  try {
    return { kind: "seen", value: await work };
  } catch (error) {
    if (error instanceof ClusterError) return { kind: "unseen", why: error.message };
    throw error;
  }
};

export const getSeen = (
  reader: Pick<Cluster, "get">,
  kind: Kind,
  namespace: string,
  name: string,
): Promise<Seen<KubeObject | undefined>> => seen(reader.get({ kind, namespace, name }, soon()));

export const listSeen = (
  reader: Pick<Cluster, "list">,
  kind: Kind,
  namespace = "",
  selector: Readonly<Record<string, string>> = {},
): Promise<Seen<readonly KubeObject[]>> => seen(reader.list(kind, namespace, selector, soon()));

/** Where an installation is. */
export type Installation = { readonly name: string; readonly namespace: string };

/**
 * The text of the installation's config: the ConfigMap that the Deployment mounts, else the newest one of the chart's
 * name.
 */
export const readInstalledConfig = async (
  reader: Reader,
  { name, namespace }: Installation,
  deployment: Seen<KubeObject | undefined>,
): Promise<Seen<{ readonly text: string; readonly from: string } | undefined>> => {
  const volumes = isSeen(deployment) && deployment.value ? podSpecOf(deployment.value).volumes : undefined;
  const mounted = volumes?.find((volume) => volume.name === "config")?.configMap?.name;
  const maps =
    mounted === undefined
      ? await listSeen(reader, "ConfigMap", namespace)
      : await getSeen(reader, "ConfigMap", namespace, mounted);
  if (maps.kind === "unseen") return maps;
  const [newest] = [maps.value ?? []]
    .flat()
    .filter(({ metadata }) => metadata.name === mounted || (metadata.name ?? "").startsWith(`${name}-config`))
    .toSorted((a, b) => (b.metadata.creationTimestamp ?? "").localeCompare(a.metadata.creationTimestamp ?? ""));
  const text = newest === undefined ? undefined : dataOf(newest)["config.yaml"];
  // A webhook that runs elsewhere may read another.
  const isLoose = mounted === undefined && isSeen(deployment) && deployment.value === undefined;
  const from = `ConfigMap ${namespace}/${newest?.metadata.name ?? ""}${isLoose ? ", which no Deployment mounts (--config names another)" : ""}`;
  return { kind: "seen", value: text === undefined ? undefined : { text, from } };
};

/** The registration, and a pod that is tried in `trialNamespace`. */
export const readReach = async (
  reader: Reader,
  { name, namespace }: Installation,
  trialNamespace: string,
  config: Config | undefined,
): Promise<Reach> => {
  const [registration, others, trial, bindings, slices] = await Promise.all([
    getSeen(reader, "MutatingWebhookConfiguration", "", name),
    listSeen(reader, "MutatingWebhookConfiguration"),
    seen(reader.tryPod(probePod(trialNamespace), AbortSignal.timeout(35_000))),
    listSeen(reader, "ValidatingAdmissionPolicyBinding"),
    listSeen(reader, "EndpointSlice", namespace),
  ]);
  return { name, namespace, trialNamespace, registration, others, trial: mayTry(trial), bindings, slices, config };
};

/** Refused by RBAC: the pod did not get as far as admission. */
const mayTry = (trial: Reach["trial"]): Reach["trial"] =>
  trial.kind === "seen" && trial.value.code === 403 && /^pods is forbidden: User /.test(trial.value.message)
    ? { kind: "unseen", why: trial.value.message }
    : trial;

/** The kubelet's Events about a pod that is not ready. */
export const readEvents = async (reader: Reader, pod: KubeObject): Promise<Seen<readonly KubeObject[]>> =>
  isReady(pod) ? { kind: "seen", value: [] } : seen(reader.events(refOf(pod), soon()));

/** The Deployments of all namespaces that the webhook made. */
export const readGateways = (reader: Reader): Promise<Seen<readonly KubeObject[]>> =>
  listSeen(reader, "Deployment", "", { [MANAGED_BY]: MANAGER });

/** The config's gateways where they are: of each without a namespace, those that were made. */
export const seenGateways = (config: Config, deployments: Seen<readonly KubeObject[]>): readonly PlacedGateway[] =>
  placedGateways(config, isSeen(deployments) ? deployments.value.map(gatewayPlaceOf) : []);

/** The rights that the webhook needs in a gateway's namespace (the chart's Role). */
export const gatewayRights = (gateway: PlacedGateway): readonly Right[] => {
  const { namespace, name } = gateway;
  const named = (group: string, resource: string, names: readonly string[]): readonly Right[] =>
    names.flatMap((each) =>
      ["get", "create", "patch"].map((verb) => ({ verb, group, resource, namespace, name: each })),
    );
  return [
    ...named("", "configmaps", [tableName(gateway), scriptsName(gateway)]),
    ...named("apps", "deployments", [name]),
    ...(hasSiblings(gateway) ? siblingRights(gateway) : []),
    ...named("networking.k8s.io", "networkpolicies", policyNames(gateway)),
    ...["get", "list", "create", "patch", "delete"].map((verb) => ({
      verb,
      group: "",
      resource: "services",
      namespace,
    })),
    ...["list", "patch"].map((verb) => ({ verb, group: "", resource: "pods", namespace })),
  ];
};

/** The further rights for a gateway of several identities. */
const siblingRights = ({ namespace, name: gateway }: PlacedGateway): readonly Right[] => {
  const [, ...siblings] = siblingNames(gateway);
  const objects = [
    {
      group: "policy",
      resource: "poddisruptionbudgets",
      names: [gateway],
      verbs: ["get", "create", "patch", "delete"],
    },
    { group: "apps", resource: "deployments", names: siblings, verbs: ["get", "create", "patch", "delete"] },
    { group: "apps", resource: "deployments", names: [gateway], verbs: ["delete"] },
  ];
  return objects.flatMap(({ group, resource, names, verbs }) =>
    names.flatMap((name) => verbs.map((verb) => ({ verb, group, resource, namespace, name }))),
  );
};

/** The rights beyond those for gateways that the options of the webhook's Deployment need. */
export const servingRights = (
  { name, namespace }: Installation,
  deployment: Seen<KubeObject | undefined>,
): readonly Right[] => {
  const { args = [] } =
    isSeen(deployment) && deployment.value ? (podSpecOf(deployment.value).containers?.[0] ?? {}) : {};
  const secret = /^--tls-secret=(.*)/.exec(args.find((arg) => arg.startsWith("--tls-secret=")) ?? "")?.[1];
  const registration = { group: "admissionregistration.k8s.io", resource: "mutatingwebhookconfigurations", name };
  const ofSecret = { group: "", resource: "secrets", namespace, name: secret ?? "" };
  return [
    ...(secret === undefined
      ? []
      : [
          ...["get", "patch"].map((verb) => ({ verb, ...registration })),
          ...["get", "create", "patch"].map((verb) => ({ verb, ...ofSecret })),
        ]),
    ...(args.includes("--workload-events") ? [{ verb: "create", group: "", resource: "events" }] : []),
  ];
};

/** The rights that an installation needs. */
export const installRights = ({ namespace }: Installation): readonly Right[] => {
  const create = (group: string, resource: string, within?: string): Right => ({
    verb: "create",
    group,
    resource,
    ...(within !== undefined && { namespace: within }),
  });
  return [
    create("", "namespaces"),
    create("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    create("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    create("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    create("rbac.authorization.k8s.io", "clusterroles"),
    create("rbac.authorization.k8s.io", "clusterrolebindings"),
    create("apps", "deployments", namespace),
    create("", "serviceaccounts", namespace),
    create("", "services", namespace),
    create("", "configmaps", namespace),
  ];
};
