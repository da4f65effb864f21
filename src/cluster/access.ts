import type { ApiEndpoint } from "./endpoint.ts";
import { serviceAccount } from "./service-account.ts";

export type AccessOptions = {
  /** Default: as kubectl chooses it (`KUBECONFIG`, `~/.kube/config`). */
  readonly kubeconfigPath?: string;
  /** The folder above `/var/run/secrets/kubernetes.io/serviceaccount`; default: none. */
  readonly root?: string;
};

/**
 * The endpoint of this pod's ServiceAccount, or of a kubeconfig's current context. Throws an Error when there is no
 * such configuration, or when a file that it names cannot be read. The reader of kubeconfigs is loaded only for a
 * kubeconfig: in a pod its code would be half of the program's.
 */
export const accessTo = async (
  source: "in-cluster" | "kubeconfig",
  { kubeconfigPath, root }: AccessOptions,
): Promise<ApiEndpoint> => {
  const access =
    source === "in-cluster" ? serviceAccount(root) : (await import("./kubeconfig.ts")).kubeconfig(kubeconfigPath);
  await access.options(); // a missing CA, key or token file is an error now, not at the first admission
  return access;
};
