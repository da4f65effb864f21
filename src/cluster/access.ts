/** Where an API server is, and the identity that the webhook has there. */
import type { RequestOptions } from "node:https";
import { serviceAccount } from "./service-account.ts";

export type Access = {
  /** The API server's URL, perhaps with a path, without a slash at its end. */
  readonly server: string;
  /** Headers and TLS options of the next request. Read anew for each: tokens, CAs and client certificates are replaced while the program runs. */
  readonly options: () => RequestOptions | Promise<RequestOptions>;
  /** The options hold the agent of a proxy, which every request must take. */
  readonly isProxied: boolean;
};

export type AccessOptions = {
  /** Default: as kubectl chooses it (`KUBECONFIG`, `~/.kube/config`). */
  readonly kubeconfigPath?: string;
  /** The folder above `/var/run/secrets/kubernetes.io/serviceaccount`; default: none. */
  readonly root?: string;
};

/**
 * The access of this pod's ServiceAccount, or of a kubeconfig's current context. Throws an Error when there is no such configuration, or when
 * a file that it names cannot be read. The reader of kubeconfigs is loaded only when it is asked for: in a pod its code would be
 * half of what the program loads.
 */
export const accessTo = async (
  source: "in-cluster" | "kubeconfig",
  { kubeconfigPath, root }: AccessOptions,
): Promise<Access> => {
  const access =
    source === "in-cluster" ? serviceAccount(root) : (await import("./kubeconfig.ts")).kubeconfig(kubeconfigPath);
  await access.options(); // a missing CA, key or token file is an error now, not at the first admission
  return access;
};
