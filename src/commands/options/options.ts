import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import type { Cluster } from "../../cluster/cluster.ts";
import type { Reader } from "../../cluster/reader.ts";
import { readConfig, type Config } from "../../core/config/config.ts";
import { messageOf } from "../../core/message.ts";

/** A mistake in the program's input or options: shown without a stack, exit code 2. */
export class UsageError extends Error {}

export const CLUSTERS = ["in-cluster", "kubeconfig", "memory"] as const;
export type ClusterName = (typeof CLUSTERS)[number];

/** The config in a file. Throws a UsageError that names the file and every problem in it. */
export const readConfigFile = async (path: string): Promise<Config> =>
  parseConfig(await readText(path), inputName(path));

/** A file as messages call it. */
export const inputName = (file: string): string => (file === "-" ? "standard input" : file);

export const parseConfig = (yaml: string, path: string): Config => {
  const reading = readConfig(yaml);
  if (reading.kind === "invalid")
    throw new UsageError(`${path} is not a valid config:\n  ${reading.problems.join("\n  ")}`);
  return reading.config;
};

/** A file's text, or that of standard input. Throws a UsageError when it cannot be read. */
export const readText = async (path: string): Promise<string> => {
  try {
    const bytes = path === "-" ? await buffer(process.stdin) : await readFile(path);
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    const why =
      error instanceof TypeError
        ? "it is not UTF-8; convert it"
        : (READ_FAILURES[String((error as NodeJS.ErrnoException).code)] ?? messageOf(error));
    throw new UsageError(`cannot read the config ${inputName(path)}: ${why}`);
  }
};

/** The common failures in words, with their fix. */
const READ_FAILURES: Readonly<Record<string, string | undefined>> = {
  ENOENT: "there is no such file; check the path",
  EISDIR: "it is a folder; name a file in it",
  EACCES: "you may not read it; change its mode or owner",
};

/**
 * Connects to a cluster. The Kubernetes client is imported only here and only when it is needed: it takes longer to
 * load than all the rest.
 */
const openCluster = async (name: ClusterName): Promise<Cluster> => {
  if (name === "memory") return (await import("../../emulator/memory.ts")).createMemoryCluster();
  return (await import("../../cluster/kubernetes.ts")).connect(name);
};

const CLUSTER_FIX = {
  "in-cluster": "run it in a pod with a ServiceAccount, or choose --cluster kubeconfig",
  kubeconfig:
    "let KUBECONFIG name a kubeconfig whose current context is a cluster (https), or choose another --cluster",
  memory: "choose another --cluster",
} as const satisfies Record<ClusterName, string>;

/** A cluster that is looked at. Throws a UsageError that names the reason and the fix. */
export const connectReading = async (name: Exclude<ClusterName, "memory">): Promise<Reader> => {
  try {
    return await (await import("../../cluster/kubernetes.ts")).connectReader(name);
  } catch (error) {
    throw new UsageError(`--cluster ${name}: ${messageOf(error)}; ${CLUSTER_FIX[name]}`);
  }
};

/** As `openCluster`. Throws a UsageError that names the reason and the fix. */
export const connectCluster = async (name: ClusterName): Promise<Cluster> => {
  try {
    return await openCluster(name);
  } catch (error) {
    throw new UsageError(`--cluster ${name}: ${messageOf(error)}; ${CLUSTER_FIX[name]}`);
  }
};
