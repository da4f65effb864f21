/** The workloads of a live cluster, in pages: what is kept is the page that is looked at. */
import { ClusterError, type Kind, type KubeObject } from "../../cluster/cluster.ts";
import type { Reader } from "../../cluster/reader.ts";
import { nearMisses } from "../../core/near-misses.ts";
import type { Pod } from "../../core/pod.ts";
import { podIn } from "../../manifests/template.ts";

export type LiveWorkload = {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly pod: Pod;
  readonly nearMisses: readonly string[];
  /** ConfigMaps that its pods read or mount. */
  readonly configMaps: readonly string[];
};

const KINDS = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"] as const;
const PAGE_MS = 30_000;

/** An owner that is listed itself. A ReplicaSet of an Argo Rollout stands for the Rollout. */
const isListed = ({ apiVersion, kind }: { readonly apiVersion: string; readonly kind: string }): boolean =>
  KINDS.some((each) => each === kind) && /^(v1|apps\/|batch\/)/.test(apiVersion);

/**
 * Each workload that no other listed workload has made. A kind that cannot be listed is passed to `onFailure`, and the
 * others are read.
 */
export async function* liveWorkloads(
  reader: Pick<Reader, "pages">,
  namespace: string,
  onFailure: (message: string) => void,
): AsyncGenerator<LiveWorkload> {
  for (const kind of KINDS) {
    try {
      for await (const page of reader.pages(kind, namespace, () => AbortSignal.timeout(PAGE_MS)))
        for (const object of page) yield* workloadOf(kind, object);
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      onFailure(error.message);
    }
  }
}

type Owners = readonly { readonly apiVersion: string; readonly kind: string }[] | undefined;

const workloadOf = (kind: Kind, object: KubeObject): readonly LiveWorkload[] => {
  const { namespace, name = "" } = object.metadata;
  if ((object.metadata["ownerReferences"] as Owners)?.some(isListed) === true) return [];
  const read = podIn(object);
  if (read === undefined) return [];
  const marks = kind === "Pod" ? undefined : object.metadata;
  const { pod, spec } = read;
  return [{ kind, namespace, name, pod, nearMisses: nearMisses(pod, marks), configMaps: configMapsOf(spec) }];
};

type Reference = { readonly name?: string };
type PodSpec = {
  readonly volumes?: readonly { readonly configMap?: Reference }[];
  readonly containers: readonly { readonly envFrom?: readonly { readonly configMapRef?: Reference }[] }[];
};
const configMapsOf = (spec: unknown): readonly string[] => {
  const { volumes = [], containers } = spec as PodSpec;
  const references = [
    ...volumes.map(({ configMap }) => configMap),
    ...containers.flatMap(({ envFrom = [] }) => envFrom.map(({ configMapRef }) => configMapRef)),
  ];
  return [...new Set(references.flatMap((reference) => reference?.name ?? []))];
};
