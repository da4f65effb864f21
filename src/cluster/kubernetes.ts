/**
 * The cluster port on a real API server. client-node reads credentials, TLS and kubeconfig; this file sends the requests, over
 * one keep-alive agent. The reasons: client-node's API classes open a connection for each request, and its generic client
 * (KubernetesObjectApi) asks for the API's resource lists first, drops fields that its models do not know, and takes no
 * AbortSignal. Four verbs on eight kinds need no more than a path and a body.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from "node:https";
import { KubeConfig } from "@kubernetes/client-node";
import { messageOf } from "../core/message.ts";
import { MANAGER } from "../core/names.ts";
import {
  type Cluster,
  ClusterError,
  deadlineExceeded,
  type Kind,
  type KubeObject,
  orDeadline,
  type Ref,
  refOf,
  resources,
  type Verb,
} from "./cluster.ts";
import { type Answer, readAnswer } from "./answers.ts";

export type ConnectOptions = {
  /** Default: as kubectl chooses it (`KUBECONFIG`, `~/.kube/config`). */
  readonly kubeconfigPath?: string;
  /** The folder above `/var/run/secrets/kubernetes.io/serviceaccount`; default: `/`. */
  readonly root?: string;
  /** Called after each call with the HTTP status (0: no answer) and the duration in milliseconds. */
  readonly onCall?: (verb: Verb, kind: Kind, code: number, ms: number) => void;
};

/**
 * The cluster of this pod's ServiceAccount, or of a kubeconfig's current context. Throws an Error when there is no such
 * configuration. No request is sent before the first call.
 */
export const connect = async (source: "in-cluster" | "kubeconfig", options: ConnectOptions = {}): Promise<Cluster> => {
  const config = new KubeConfig();
  if (source === "in-cluster") loadFromPod(config, options.root);
  else if (options.kubeconfigPath === undefined) config.loadFromDefault();
  else config.loadFromFile(options.kubeconfigPath);
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) throw new Error("the kubeconfig has no current context, or one without a cluster");
  await config.applyToHTTPSOptions({}); // a missing CA, key or token file is an error now, not at the first admission
  const ask = caller(config, server, options.onCall ?? (() => undefined));
  return {
    get: async (ref, signal) => {
      try {
        return inNamespace(await ask({ verb: "get", ref, method: "GET", path: pathOf(ref) }, signal));
      } catch (error) {
        if (error instanceof ClusterError && error.code === 404 && error.reason === "NotFound") return undefined;
        throw error;
      }
    },
    list: async (kind, namespace, selector, signal) => {
      const ref = { kind, namespace, name: "" };
      const labels = Object.entries(selector).map(([label, value]) => `${label}=${value}`);
      const path = `${pathOf(ref)}?${String(new URLSearchParams({ labelSelector: labels.join(",") }))}`;
      const { items } = (await ask({ verb: "list", ref, method: "GET", path }, signal)) as { items: KubeObject[] };
      // the API server leaves these two fields out of the items of a list
      return items.map((item) => inNamespace({ ...item, apiVersion: resources[kind].apiVersion, kind }));
    },
    create: async (body, signal) => {
      const path = `${pathOf({ ...refOf(body), name: "" })}?fieldManager=${MANAGER}`;
      return inNamespace(await ask({ verb: "create", ref: refOf(body), method: "POST", path, body }, signal));
    },
    apply: async (body, signal) => {
      const path = `${pathOf(refOf(body))}?fieldManager=${MANAGER}&force=true`;
      return inNamespace(await ask({ verb: "apply", ref: refOf(body), method: "PATCH", path, body }, signal));
    },
  };
};

const loadFromPod = (config: KubeConfig, root?: string): void => {
  if (process.env["KUBERNETES_SERVICE_HOST"] === undefined) {
    throw new Error("not in a cluster: KUBERNETES_SERVICE_HOST is not set; use a kubeconfig, or the cluster in memory");
  }
  config.loadFromCluster(root);
};

const pathOf = ({ kind, namespace, name }: Ref): string => {
  const { apiVersion, plural } = resources[kind];
  const base = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const within = namespace === "" ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${base}${within}/${plural}${name === "" ? "" : `/${encodeURIComponent(name)}`}`;
};

/** The port's rule for cluster-scoped objects: their namespace is `""`. The API server leaves the field out. */
const inNamespace = (answer: unknown): KubeObject => {
  const object = answer as KubeObject;
  const { namespace = "" } = object.metadata as { readonly namespace?: string };
  return { ...object, metadata: { ...object.metadata, namespace } };
};

type Question = {
  readonly verb: Verb;
  readonly ref: Ref;
  readonly method: "GET" | "POST" | "PATCH";
  readonly path: string;
  readonly body?: KubeObject;
};
/** Idle sockets are closed before the API server closes them (Go's default: 90 s), so no request goes out on a closing socket. */
const agentOptions = { keepAlive: true, timeout: 60_000 };

const caller = (config: KubeConfig, server: string, onCall: NonNullable<ConnectOptions["onCall"]>) => {
  const agent = server.startsWith("https:") ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  return async (question: Question, signal: AbortSignal): Promise<unknown> => {
    const { verb, ref } = question;
    if (signal.aborted) throw deadlineExceeded(verb, ref, signal);
    const start = performance.now();
    let code = 0;
    try {
      const options: RequestOptions = { method: question.method, signal };
      // for each request: tokens expire and client-node reads their file every minute, certificates rotate;
      // the agent reuses a socket only for the TLS options that it was opened with
      await orDeadline(config.applyToHTTPSOptions(options), verb, ref, signal);
      if (config.getCurrentCluster()?.proxyUrl === undefined) options.agent = agent;
      const answer = await send(new URL(server.replace(/\/$/, "") + question.path), options, question.body);
      code = answer.code;
      return readAnswer(question, answer);
    } catch (error) {
      if (error instanceof ClusterError) throw error;
      if (isAborted(signal)) throw deadlineExceeded(verb, ref, signal);
      throw new ClusterError({
        verb,
        ref,
        code: 0,
        reason: "Unreachable",
        says: `${server}: ${saying(error)}`,
        cause: error,
      });
    } finally {
      onCall(verb, ref.kind, code, performance.now() - start);
    }
  };
};

/** Reads `signal.aborted` again: it changes during an await, which the type checker does not know. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted;

/** A connection refused by several addresses is an AggregateError with no message of its own. */
const saying = (error: unknown): string => {
  if (error instanceof AggregateError) return error.errors.map(saying).join("; ");
  return messageOf(error);
};

const send = (url: URL, options: RequestOptions, body?: KubeObject): Promise<Answer> => {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const type = options.method === "PATCH" ? "application/apply-patch+yaml" : "application/json"; // JSON is YAML
  const headers = {
    ...(options.headers as Record<string, string> | undefined),
    accept: "application/json",
    "user-agent": MANAGER,
    ...(text !== undefined && { "content-type": type, "content-length": Buffer.byteLength(text) }),
  };
  const request = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const asked = request(url, { ...options, headers }, (answer) => {
      collect(answer).then(resolve, reject);
    });
    asked.on("error", reject);
    asked.end(text);
  });
};

const collect = async (answer: IncomingMessage): Promise<Answer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return { code: answer.statusCode ?? 0, retryAfter: answer.headers["retry-after"], text };
};
