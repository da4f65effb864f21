import { refOf } from "../cluster/cluster.ts";
import { inputName, readInput } from "./options.ts";
import { admitOffline } from "./offline.ts";
import { readStream } from "../manifests/stream.ts";

export type InjectOptions = { readonly file: string; readonly config: string; readonly namespace: string };
export type Output = { readonly out: (text: string) => void; readonly err: (text: string) => void };

/**
 * `inject`: the stream with its workloads redirected, and the gateway's manifests. What is not touched passes through byte for
 * byte. Injecting the output again changes nothing; injecting it with more workloads keeps the ports and brings the manifests
 * that it holds up to date where they stand.
 *
 * The manifests follow as YAML documents. JSON stays one JSON value: they become items of the List that was read, or of a new
 * one whose first item is what was read.
 *
 * Warnings go to `err`. Returns the exit code: 0, or 1 when a workload is rejected; then `out` gets nothing and `err` the
 * reasons. Throws a UsageError (exit code 2) when file or config cannot be read.
 */
export const inject = async ({ file, config, namespace }: InjectOptions, { out, err }: Output): Promise<0 | 1> => {
  const { settings, text } = await readInput(file, config);
  const stream = readStream(text, inputName(file), namespace);
  const { results, manifests } = await admitOffline(stream, settings);
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
  for (const manifest of manifests) stream.put(refOf(manifest), manifest);
  out(stream.text());
  return 0;
};
