import { stringify } from "yaml";
import { loadConfig, readText } from "./options.ts";
import { admitOffline } from "./offline.ts";
import { readStream } from "./stream.ts";

export type InjectOptions = { readonly file: string; readonly config: string; readonly namespace: string };
export type Output = { readonly out: (text: string) => void; readonly err: (text: string) => void };

/**
 * `inject`: the stream with its workloads redirected, then the gateway's manifests. What is not touched passes through byte for byte.
 * Returns the exit code: 0, or 1 when a workload is rejected; then nothing is printed but the reasons.
 */
export const inject = async ({ file, config, namespace }: InjectOptions, { out, err }: Output): Promise<0 | 1> => {
  const stream = readStream(readText(file), file, namespace);
  const { results, manifests } = await admitOffline(stream.workloads, loadConfig(config));
  for (const { workload, admission } of results) {
    const who = `${workload.kind} ${workload.namespace}/${workload.name}`;
    if (admission.outcome === "reject") err(`${who}: rejected: ${admission.reason}: ${admission.message ?? ""}\n`);
    for (const warning of admission.warnings) err(`${who}: ${warning}\n`);
  }
  if (results.some(({ admission }) => admission.outcome === "reject")) return 1;
  for (const { workload, admission } of results) workload.patch(admission.operations);
  const text = stream.text();
  out(text);
  if (manifests.length > 0) {
    out(text.endsWith("\n") || text === "" ? "" : "\n");
    out(
      manifests
        .map((manifest) => `---\n${stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false })}`)
        .join(""),
    );
  }
  return 0;
};
