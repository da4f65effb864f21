// Where the cluster's programs are: build.sh knows, and builds those that are missing.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";

export const components = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const;

/** The server programs of a control plane, by the name of their executable. */
export type Component = (typeof components)[number];

/** Returns the folder that holds these programs and kubectl; builds what is missing (minutes, the first time). */
export const findPrograms = (needed: readonly (Component | "helm")[]): Promise<string> =>
  build([...needed, "kubectl"], {});

/** Returns the path of promtool, which no `KUBEBUILDER_ASSETS` has. */
export const findPromtool = async (): Promise<string> =>
  join(await build(["promtool"], { KUBEBUILDER_ASSETS: "" }), "promtool");

/** The same for the programs of a node, which no `KUBEBUILDER_ASSETS` has. */
export const findNodePrograms = (): Promise<string> =>
  build(["kubelet", "kube-proxy", "coredns"], { KUBEBUILDER_ASSETS: "" });

/** The same for servers of other projects, which the tests dial. */
export const findServers = (): Promise<string> => build(["ferretdb", "nats-server"], { KUBEBUILDER_ASSETS: "" });

async function build(programs: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const script = join(import.meta.dirname, "build.sh");
  // Its output on stderr (progress, or missing programs) is for the waiting user.
  const child = spawn(script, programs, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  const [folder, [code]] = await Promise.all([text(child.stdout), once(child, "close") as Promise<[number | null]>]);
  if (code !== 0) throw new Error("programs of the cluster are missing: build.sh says why, above");
  return folder.trim();
}
