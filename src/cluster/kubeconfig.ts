/**
 * The access that a kubeconfig describes: files, tokens, client certificates, exec plugins, OIDC, proxies. All of it is
 * client-node's.
 */
import type { RequestOptions } from "node:https";
// Not the package's own entry, which brings the models of the whole Kubernetes API.
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import type { ApiEndpoint } from "./endpoint.ts";

/** The current context of a kubeconfig; `path`: default as kubectl chooses it. Throws an Error when there is none. */
export const kubeconfig = (path?: string): ApiEndpoint => {
  const config = new KubeConfig();
  if (path === undefined) config.loadFromDefault();
  else config.loadFromFile(path);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error("the kubeconfig has no current context, or one without a cluster");
  const { server, proxyUrl } = cluster;
  return {
    server: server.replace(/\/$/, ""),
    isProxied: proxyUrl !== undefined,
    options: async () => {
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      return options;
    },
  };
};
