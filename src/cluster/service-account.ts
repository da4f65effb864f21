/**
 * The access of a pod's ServiceAccount, by the rules of client-go's InClusterConfig. The API server's address is in the
 * environment. The CA and the token are files that the kubelet writes, and replaces before the token expires.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext, type SecureContext } from "node:tls";
import type { ApiEndpoint } from "./endpoint.ts";

const FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * The API server of KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, always by TLS. Throws an Error when one of
 * them is not set. `root`: the folder above `/var/run/secrets/kubernetes.io/serviceaccount`.
 */
export const serviceAccount = (root = "/"): ApiEndpoint => {
  const { KUBERNETES_SERVICE_HOST: host = "", KUBERNETES_SERVICE_PORT: port = "" } = process.env;
  const missing = host === "" ? "KUBERNETES_SERVICE_HOST" : port === "" ? "KUBERNETES_SERVICE_PORT" : undefined;
  if (missing !== undefined)
    throw new Error(`not in a cluster: ${missing} is not set; use a kubeconfig, or the cluster in memory`);
  const file = (name: string) => lastRead(join(root, FOLDER, name));
  const [token, ca] = [file("token"), file("ca.crt")];
  const contextOf = lastContext();
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    isProxied: false,
    options: () => {
      const authorities = ca();
      return {
        ca: authorities,
        secureContext: contextOf(authorities),
        headers: { Authorization: `Bearer ${token().trim()}` },
      };
    },
  };
};

/**
 * Reads a file each time. Where that fails, returns the last content. The token of a moment ago is nearly always valid,
 * and the API server answers 401 when it is not. Throws when the file could never be read, or was empty then.
 *
 * The read is synchronous: the files are in memory (tmpfs), and a few microseconds are less than the way through a
 * thread.
 */
const lastRead = (path: string): (() => string) => {
  let last = "";
  return () => {
    try {
      const text = readFileSync(path, "utf8");
      if (text.trim() === "") throw new Error(`${path} is empty`);
      last = text;
    } catch (error) {
      if (last === "") throw error;
    }
    return last;
  };
};

/**
 * The TLS context of a CA's PEM text. It is made once for all connections until the text changes, because making it
 * costs as much as a handshake.
 */
const lastContext = (): ((ca: string) => SecureContext) => {
  let last: { readonly ca: string; readonly context: SecureContext } | undefined;
  return (ca) => {
    if (last?.ca !== ca) last = { ca, context: createSecureContext({ ca }) };
    return last.context;
  };
};
