/** `check pod/NAME`, `check deploy/NAME`: why a workload cannot reach its targets. */
import type { Kind, KubeObject } from "../../cluster/cluster.ts";
import type { Reader } from "../../cluster/reader.ts";
import { type Finding, findingsOf, isSeen, type Seen } from "../../checks/finding.ts";
import { gatewayFindings } from "../../checks/gateway.ts";
import { podSelectorOf, statusIn } from "../../checks/objects.ts";
import { policyFindings, workloadFindings } from "../../checks/workload.ts";
import { findGateway, placedGateways } from "../../core/config/choose.ts";
import type { Config, PlacedGateway } from "../../core/config/config.ts";
import { hasLabels } from "../../core/config/flowgen-pods.ts";
import { gatewayNameOf } from "../../core/config/siblings.ts";
import type { Admission } from "../../core/admission.ts";
import { nearWord } from "../../core/schema.ts";
import { podLabels } from "../../core/gateway/manifests.ts";
import { policyNames } from "../../core/gateway/policy.ts";
import { annotation, MANAGED_BY, MANAGER } from "../../core/names.ts";
import { address } from "../../core/target.ts";
import { nearMisses } from "../../core/near-misses.ts";
import { getSeen, listSeen } from "./read.ts";
import { podIn } from "../../manifests/template.ts";
import { readGatewaySight } from "./gateway.ts";
import { createAdmitter } from "../inject/offline.ts";
import { UsageError } from "../options/options.ts";

const KINDS: Readonly<Record<string, Kind>> = {
  ...{ pod: "Pod", pods: "Pod", po: "Pod" },
  ...{ deployment: "Deployment", deployments: "Deployment", deploy: "Deployment" },
  ...{ statefulset: "StatefulSet", statefulsets: "StatefulSet", sts: "StatefulSet" },
  ...{ daemonset: "DaemonSet", daemonsets: "DaemonSet", ds: "DaemonSet" },
  ...{ replicaset: "ReplicaSet", replicasets: "ReplicaSet", rs: "ReplicaSet" },
  ...{ job: "Job", jobs: "Job", cronjob: "CronJob", cronjobs: "CronJob", cj: "CronJob" },
};

/** `deploy/NAME` as kubectl writes it, or `deployment.apps/NAME` as it prints it. Throws a UsageError for another text. */
export const readWorkloadName = (text: string): { readonly kind: Kind; readonly name: string } => {
  const [, word = "", name = ""] = /^([a-z]+)(?:\.[a-z.0-9]+)?\/([a-z0-9.-]+)$/i.exec(text) ?? [];
  const kind = Object.hasOwn(KINDS, word.toLowerCase()) ? KINDS[word.toLowerCase()] : undefined;
  if (kind !== undefined) return { kind, name };
  const words = "pod/NAME, deploy/NAME, sts/NAME, ds/NAME, rs/NAME, job/NAME or cronjob/NAME";
  throw new UsageError(`check ${text}: write config FILE, or a workload: ${words}`);
};

/** The findings of one workload, its pods, and the gateway that they use. Without a config: what its pods say. */
export const checkWorkload = async (
  reader: Reader,
  config: Config | undefined,
  { kind, namespace, name }: { readonly kind: Kind; readonly namespace: string; readonly name: string },
): Promise<readonly Finding[]> => {
  const about = `${kind} ${namespace}/${name}`;
  const say = findingsOf("workload");
  const object = await getSeen(reader, kind, namespace, name);
  if (object.kind === "unseen") return [say.unseen(about, object.why)];
  if (object.value === undefined)
    return [say.fault("workload-missing", about, await insteadOf(reader, kind, namespace, name))];
  const own = config && gatewayIn(config, object.value);
  if (own) return gatewayFindings(await readGatewaySight(reader, own), [], Date.now());
  const pod = podIn(object.value)?.pod;
  if (pod === undefined) return [say.unseen(about, "it has no pod template that can be read")];
  const annotations = pod.metadata.annotations ?? {};
  const pods = kind === "Pod" ? seenPods([object.value]) : await podsOf(reader, object.value);
  const sight = {
    ...{ name: about, namespace },
    isAnnotated: annotations[annotation.targets] !== undefined,
    mode: annotations[annotation.mode],
    nearMisses: nearMisses(pod, kind === "Pod" ? undefined : object.value.metadata),
    pods,
    failure: await failureOf(reader, object.value),
  };
  if (config === undefined) return workloadFindings(sight);
  // The pod before its admission: an address that its env hold now is a Service's.
  const admission = await createAdmitter(config, reader, "audit").admit({ pod, namespace });
  const decided = workloadFindings({ ...sight, admission });
  const found = findGateway(config, namespace, annotations[annotation.gateway]);
  if (admission.assignments.length === 0 || found.kind === "reject") return decided;
  return [...decided, ...(await gatewayOf(reader, found.gateway, admission.assignments, pods))];
};

/** The gateway whose Deployment, or whose pod, the object is. */
const gatewayIn = (config: Config, object: KubeObject): PlacedGateway | undefined => {
  const { namespace, labels = {} } = object.metadata;
  const isMade = object.kind === "Deployment" && labels[MANAGED_BY] === MANAGER;
  const name = isMade ? gatewayNameOf(object) : labels["app.kubernetes.io/instance"];
  const place = { namespace, name: name ?? "" };
  return placedGateways(config, [place]).find(
    (gateway) =>
      gateway.namespace === namespace &&
      gateway.name === name &&
      (isMade || (object.kind === "Pod" && hasLabels(labels, podLabels(gateway)))),
  );
};

/** The gateway on the way of a workload's pods to their targets. */
const gatewayOf = async (
  reader: Reader,
  gateway: PlacedGateway,
  assignments: Admission["assignments"],
  pods: Seen<readonly KubeObject[]>,
): Promise<readonly Finding[]> => {
  const [sight, ...policies] = await Promise.all([
    readGatewaySight(reader, gateway),
    ...policyNames(gateway).map((policy) => getSeen(reader, "NetworkPolicy", gateway.namespace, policy)),
  ]);
  const targets = assignments.map(({ target }) => address(target.host, target.port));
  return [
    ...policyFindings(gateway, policies, sight.table, pods, assignments),
    ...gatewayFindings(sight, targets, Date.now()),
  ];
};

/** Where a workload of that name is, or one of a name like it; as far as the user may look. */
const insteadOf = async (reader: Reader, kind: Kind, namespace: string, name: string): Promise<string | undefined> => {
  const home = await getSeen(reader, "Namespace", "", namespace);
  if (isSeen(home) && home.value === undefined) return `there is no namespace ${namespace}`;
  const beside = await listSeen(reader, kind, namespace);
  const names = isSeen(beside) ? beside.value.map(({ metadata }) => metadata.name ?? "") : [];
  const near = nearWord(name, names);
  if (near !== undefined) return `did you mean ${near}?`;
  const all = await listSeen(reader, kind);
  const other = isSeen(all) ? all.value.find(({ metadata }) => metadata.name === name) : undefined;
  return other && `namespace ${other.metadata.namespace} has one of this name`;
};

const seenPods = (value: readonly KubeObject[]): Seen<readonly KubeObject[]> => ({ kind: "seen", value });

/** The pods that a controller's selector finds; a CronJob's have a Job between them. */
const podsOf = async (reader: Reader, object: KubeObject): Promise<Seen<readonly KubeObject[]>> => {
  const { namespace, name = "" } = object.metadata;
  const labels = podSelectorOf(object);
  if (labels !== undefined) return listSeen(reader, "Pod", namespace, labels);
  const jobs = await listSeen(reader, "Job", namespace);
  if (jobs.kind === "unseen") return jobs;
  const names = new Set(jobs.value.filter((job) => isOwned(job, "CronJob", name)).map(({ metadata }) => metadata.name));
  const pods = await listSeen(reader, "Pod", namespace);
  return pods.kind === "unseen"
    ? pods
    : seenPods(pods.value.filter(({ metadata }) => names.has(metadata.labels?.["job-name"] ?? "")));
};

const isOwned = ({ metadata }: KubeObject, kind: string, name: string): boolean =>
  ((metadata["ownerReferences"] as readonly { kind: string; name: string }[] | undefined) ?? []).some(
    (owner) => owner.kind === kind && owner.name === name,
  );

/** The controller's message about pods that it could not make (condition ReplicaFailure). */
const failureOf = async (reader: Reader, object: KubeObject): Promise<string | undefined> => {
  const { namespace, name = "" } = object.metadata;
  const sets = object.kind === "Deployment" ? await listSeen(reader, "ReplicaSet", namespace) : undefined;
  const owned = sets !== undefined && isSeen(sets) ? sets.value.filter((set) => isOwned(set, "Deployment", name)) : [];
  const conditions = [object, ...owned].flatMap((each) => statusIn(each).conditions ?? []);
  return conditions.find(({ type, status }) => type === "ReplicaFailure" && status === "True")?.message;
};
