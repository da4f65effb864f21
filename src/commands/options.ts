import { readFileSync } from "node:fs";
import type { Cluster } from "../cluster/cluster.ts";
import { readConfig, type Config } from "../core/config.ts";

/** A mistake of whoever called the program: shown without a stack, exit code 2. */
export class UsageError extends Error {}

export const CLUSTERS = ["in-cluster", "kubeconfig", "memory"] as const;
export type ClusterName = (typeof CLUSTERS)[number];

/** The config in a file. Throws a UsageError that names the file and every problem in it. */
export const loadConfig = (path: string): Config => parseConfig(readText(path), path);

export const parseConfig = (yaml: string, path: string): Config => {
  const reading = readConfig(yaml);
  if (reading.kind === "invalid")
    throw new UsageError(`${path} is not a valid config:\n  ${reading.problems.join("\n  ")}`);
  return reading.config;
};

/** The text of a file, `-` being standard input. */
export const readText = (path: string): string => {
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
};

/** Connects to a cluster. The Kubernetes client is imported only here and only when it is needed: it takes longer to load than all the rest. */
export const openCluster = async (name: ClusterName): Promise<Cluster> => {
  if (name === "memory") return (await import("../cluster/memory.ts")).createMemoryCluster();
  return (await import("../cluster/kubernetes.ts")).connect(name);
};

/** The program's version, from package.json. */
export const version = (): string =>
  (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;
