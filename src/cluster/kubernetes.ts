/**
 * The cluster behind a real API server. Address, credentials and TLS come from an ApiEndpoint (access.ts).
 *
 * The requests are the project's own, over one keep-alive agent. The API classes of client-node open a connection for
 * each request. Its generic client (KubernetesObjectApi) asks for the API's resource lists first, drops fields that its
 * models do not know, and takes no AbortSignal. Seven calls for eight kinds need no more than a path and a body.
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
import { type AccessOptions, accessTo } from "./access.ts";
import type { ApiEndpoint } from "./endpoint.ts";
import { type Answer, readAnswer } from "./answers.ts";
import { livePods, METADATA } from "./live-pods.ts";
import { takenOver } from "./managed-fields.ts";
import { createReader, type Reader } from "./reader.ts";
import { inNamespace, isNotFound, apiPath, type Question } from "./requests.ts";
import { atMost } from "./waiting.ts";

const PODS: Ref = { kind: "Pod", namespace: "", name: "" };

export type ConnectOptions = AccessOptions & {
  /** Default: TRY_MS. */
  readonly tryMs?: TryLimits;
  /** Called after every call: the HTTP status (0: no answer) and its duration in milliseconds. */
  readonly onCall?: (verb: Verb, kind: Kind, code: number, ms: number) => void;
};

/**
 * The cluster of this pod's ServiceAccount, or of a kubeconfig's current context. Throws an Error when there is no such
 * configuration. No request is sent before the first call.
 */
export const connect = async (source: Source, options: ConnectOptions = {}): Promise<Cluster> => {
  const ask = await openCaller(source, options, readAnswer);
  return {
    livePods: (selector, signal) =>
      livePods(selector, (query) => {
        const path = `${apiPath(PODS)}?${String(query)}`;
        return ask({ verb: "list", ref: PODS, method: "GET", path, accept: METADATA }, signal);
      }),
    get: async (ref, signal) => {
      try {
        return inNamespace(await ask({ verb: "get", ref, method: "GET", path: apiPath(ref) }, signal));
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    list: async (kind, namespace, selector, signal) => {
      const ref = { kind, namespace, name: "" };
      const labels = Object.entries(selector).map(([label, value]) => `${label}=${value}`);
      const path = `${apiPath(ref)}?${String(new URLSearchParams({ labelSelector: labels.join(",") }))}`;
      const { items } = (await ask({ verb: "list", ref, method: "GET", path }, signal)) as { items: KubeObject[] };
      // the API server leaves these two fields out of the items of a list
      return items.map((item) => inNamespace({ ...item, apiVersion: resources[kind].apiVersion, kind }));
    },
    create: async (body, signal) => {
      const path = `${apiPath({ ...refOf(body), name: "" })}?fieldManager=${MANAGER}`;
      return inNamespace(await ask({ verb: "create", ref: refOf(body), method: "POST", path, body }, signal));
    },
    apply: async (body, signal, manager = MANAGER) => {
      // By default the API server reads a body a second time, to warn of unknown fields: a tenth of its work in a storm.
      const path = `${apiPath(refOf(body))}?fieldManager=${manager}&force=true&fieldValidation=Ignore`;
      return inNamespace(await ask({ verb: "apply", ref: refOf(body), method: "PATCH", path, body }, signal));
    },
    update: async (object, signal) => {
      const path = `${apiPath(refOf(object))}?fieldManager=${MANAGER}`;
      const body = { ...object, metadata: { ...object.metadata, managedFields: takenOver(object) } };
      return inNamespace(await ask({ verb: "update", ref: refOf(object), method: "PUT", path, body }, signal));
    },
    delete: async (object, signal, gracePeriodSeconds) => {
      const ref = refOf(object);
      const { uid, resourceVersion } = object.metadata;
      const body = {
        ...{ apiVersion: "v1", kind: "DeleteOptions", gracePeriodSeconds },
        preconditions: { uid, resourceVersion },
      };
      try {
        await ask({ verb: "delete", ref, method: "DELETE", path: apiPath(ref), body }, signal);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
  };
};

type Source = "in-cluster" | "kubeconfig";

const openCaller = async <T>(source: Source, options: ConnectOptions, read: Read<T>): Promise<Ask<T>> =>
  caller(await accessTo(source, options), options, read);

/**
 * A command asks on connections that it has just opened, and a pod that is tried waits for webhooks: up to 30 s each.
 */
const READER_MS: TryLimits = { kept: 35_000, fresh: 35_000 };
/** As `connect`, for the commands that look at a cluster and write nothing. */
export const connectReader = async (source: Source, options: ConnectOptions = {}): Promise<Reader> =>
  createReader(await openCaller(source, { tryMs: READER_MS, ...options }, (_question, answer) => answer));

type Read<T> = (question: Question, answer: Answer) => T;
type Ask<T> = (question: Question, signal: AbortSignal) => Promise<T>;
/** How long one try may take, in milliseconds: on a connection that is kept, and on a new one. */
type TryLimits = { readonly kept: number; readonly fresh: number };
/**
 * A kept connection may be dead: a firewall or load balancer has forgotten it, or its API server is gone without
 * closing it. Nothing ever comes back then. So the first try is short. The next one has a connection of its own, and
 * time for a slow API server.
 */
const TRY_MS: TryLimits = { kept: 2000, fresh: 5000 };

/** Idle sockets are closed before the API server would do it (Go's default is 90 s): no request meets a closing one. */
const agentOptions = { keepAlive: true, timeout: 60_000 };

const caller = <T>(
  { server, options: optionsOf, isProxied }: ApiEndpoint,
  { onCall, tryMs = TRY_MS }: ConnectOptions,
  read: Read<T>,
): Ask<T> => {
  const agent = server.startsWith("https:") ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  return async (question, signal) => {
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
      return read(question, answer);
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
  const { "retry-after": retryAfter, warning: warnings } = answer.headers;
  return { code: answer.statusCode ?? 0, retryAfter, warnings, text };
};
