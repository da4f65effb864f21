import { type KubeObject, refOf } from "../cluster/cluster.ts";
import { isEqual } from "../core/equal.ts";
import { type ClusterName, connectCluster, inputName, readInput } from "./options.ts";
import { admitOffline, asWritten, EMPTY_TABLE } from "./offline.ts";
import { readStream, type Stream } from "../manifests/stream.ts";

export type InjectOptions = {
  readonly file: string;
  readonly config: string;
  readonly namespace: string;
  /** Where the forward table is read; nothing is written there. */
  readonly cluster?: ClusterName;
  /** The gateways' objects are printed too. */
  readonly gateway?: boolean;
};
export type Output = { readonly out: (text: string) => void; readonly err: (text: string) => void };

/**
 * `inject`: the stream with its workloads redirected. What is not touched passes through byte for byte, and injecting the output
 * again changes nothing.
 *
 * The gateways' objects are printed with `gateway` only: applied to a cluster that has the gateway, those of an empty table would
 * overwrite the forwards of running pods. They follow as YAML documents. JSON stays one JSON value: they become items of the List
 * that was read, or of a new one whose first item is what was read. One that the stream holds already passes unchanged.
 *
 * Warnings go to `err`. Returns the exit code: 0, or 1 when a workload is rejected; then `out` gets nothing and `err` the
 * reasons. Throws a UsageError (exit code 2) when file or config cannot be read, or the cluster is not known.
 */
export const inject = async (options: InjectOptions, { out, err }: Output): Promise<0 | 1> => {
  const { file, config, namespace, cluster, gateway = false } = options;
  const { settings, text } = await readInput(file, config);
  const stream = readStream(text, inputName(file), namespace);
  const live = cluster && (await connectCluster(cluster));
  const { results, manifests } = await admitOffline(stream.workloads, settings, live);
  if (cluster === undefined && results.some(({ admission }) => admission.assignments.length > 0)) err(EMPTY_TABLE);
  let isRefused = false;
  for (const { workload, admission } of results) {
    const { outcome, reason, message = "", warnings } = admission;
    const who = `${workload.kind} ${workload.namespace}/${workload.name}`;
    if (outcome === "reject" || outcome === "fail") {
      isRefused = true;
      err(`${who}: ${outcome === "reject" ? "rejected" : "failed"}: ${reason}: ${message}\n`);
    }
    for (const warning of warnings) err(`${who}: warning: ${warning}\n`);
  }
  if (isRefused) return 1;
  for (const { workload, admission } of results) workload.patch(admission.operations);
  if (gateway) for (const manifest of manifests) addManifest(stream, manifest, err);
  out(stream.text());
  return 0;
};

const addManifest = (stream: Stream, manifest: KubeObject, err: Output["err"]): void => {
  const { kind, namespace, name } = refOf(manifest);
  const held = stream.find({ apiVersion: manifest.apiVersion, kind, namespace, name });
  if (held === undefined) stream.add(manifest);
  else if (!isEqual(asWritten(held as KubeObject), manifest))
    err(`${kind} ${namespace}/${name}: warning: the stream holds another one, which passes unchanged\n`);
};
