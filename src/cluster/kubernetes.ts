/**
 * The cluster behind a real API server. Address, credentials and TLS come from an Access (access.ts); the requests are our own, over
 * one keep-alive agent: client-node's API classes open a connection for each request, and its generic client
 * (KubernetesObjectApi) asks for the API's resource lists first, drops the fields that its models do not know, and takes no
 * AbortSignal. Six questions about eight kinds need no more than a path and a body.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from "node:https";
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
import { type Access, type AccessOptions, accessTo } from "./access.ts";
import { type Answer, readAnswer } from "./answers.ts";
import { livePods, METADATA } from "./live-pods.ts";
import { atMost } from "./waiting.ts";

const PODS: Ref = { kind: "Pod", namespace: "", name: "" };

export type ConnectOptions = AccessOptions & {
  /** Default: TRY_MS. */
  readonly tryMs?: TryLimits;
  /** Told after every call: the HTTP status (0: no answer) and how long it took, in milliseconds. */
  readonly onCall?: (verb: Verb, kind: Kind, code: number, ms: number) => void;
};

/**
 * The cluster of this pod's ServiceAccount, or of a kubeconfig's current context. Throws an Error when there is no such
 * configuration. No request is sent before the first call.
 */
export const connect = async (source: "in-cluster" | "kubeconfig", options: ConnectOptions = {}): Promise<Cluster> => {
  const ask = caller(await accessTo(source, options), options);
  return {
    livePods: (selector, signal) =>
      livePods(selector, (query) => {
        const path = `${pathOf(PODS)}?${String(query)}`;
        return ask({ verb: "list", ref: PODS, method: "GET", path, accept: METADATA }, signal);
      }),
    get: async (ref, signal) => {
      try {
        return inNamespace(await ask({ verb: "get", ref, method: "GET", path: pathOf(ref) }, signal));
      } catch (error) {
        if (isNotFound(error)) return undefined;
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
    delete: async (object, signal) => {
      const ref = refOf(object);
      const { uid, resourceVersion } = object.metadata;
      const body = { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid, resourceVersion } };
      try {
        await ask({ verb: "delete", ref, method: "DELETE", path: pathOf(ref), body }, signal);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
  };
};

/** The object is not there; another 404 is a path that the API server does not serve. */
const isNotFound = (error: unknown): boolean =>
  error instanceof ClusterError && error.code === 404 && error.reason === "NotFound";

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
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: object;
  /** Default: JSON. */
  readonly accept?: string;
};
/** How long one try may take, in milliseconds: on a connection that is kept, and on a new one. */
type TryLimits = { readonly kept: number; readonly fresh: number };
/**
 * A kept connection may lead nowhere: where a firewall or a load balancer has forgotten it, or its API server is gone without a word, nothing ever
 * comes back. So the first try is short. The next one has a connection of its own, and time for an API server that is slow.
 */
const TRY_MS: TryLimits = { kept: 2000, fresh: 5000 };

/** Idle sockets are closed before the API server would do it (Go's default is 90 s): no request meets a closing one. */
const agentOptions = { keepAlive: true, timeout: 60_000 };

const caller = ({ server, options: optionsOf, isProxied }: Access, { onCall, tryMs = TRY_MS }: ConnectOptions) => {
  const agent = server.startsWith("https:") ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  return async (question: Question, signal: AbortSignal): Promise<unknown> => {
    const { verb, ref } = question;
    if (signal.aborted) throw deadlineExceeded(verb, ref, signal);
    const start = performance.now();
    let code = 0;
    const limit = Object.keys(agent.freeSockets).length > 0 ? tryMs.kept : tryMs.fresh;
    const thisTry = atMost(limit, signal);
    try {
      // The agent keeps a socket only for the very TLS options that it was opened with.
      const access = await orDeadline(Promise.resolve(optionsOf()), verb, ref, signal);
      const options = { ...access, method: question.method, signal: thisTry.signal, ...(!isProxied && { agent }) };
      const answer = await send(new URL(server + question.path), options, question);
      code = answer.code;
      return readAnswer(question, answer);
    } catch (error) {
      if (error instanceof ClusterError) throw error;
      if (isAborted(signal)) throw deadlineExceeded(verb, ref, signal);
      const isOver = isAborted(thisTry.signal);
      // The others were opened to the same place, and as long ago.
      if (isOver) Object.values(agent.freeSockets).forEach((sockets) => sockets?.forEach((socket) => socket.destroy()));
      const why = isOver ? `no answer within ${limit} ms` : saying(error);
      throw new ClusterError({ verb, ref, code: 0, reason: "Unreachable", says: `${server}: ${why}`, cause: error });
    } finally {
      thisTry.lift();
      onCall?.(verb, ref.kind, code, performance.now() - start);
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

const send = (url: URL, options: RequestOptions, { body, accept = "application/json" }: Question): Promise<Answer> => {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const type = options.method === "PATCH" ? "application/apply-patch+yaml" : "application/json"; // JSON is YAML
  const headers = {
    ...(options.headers as Record<string, string> | undefined),
    accept,
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
