// A client of the API server: a few HTTP/2 connections for hundreds of requests at once, JSON in and out. A process of
// kubectl for each call would be too slow.
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { ControlPlane } from "./control-plane.ts";

const CONNECTIONS = 10;
/** The API server ends a request after a minute; a request waits first until its connection has room for it. */
const ANSWER_WITHIN_MS = 180_000;

export type ApiObject = {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly resourceVersion: string;
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
};
export type ApiAnswer<T = ApiObject> = { readonly status: number; readonly body: T };

export type Api = {
  /**
   * One request, repeated where the API server answers 429; rejects when there is no answer. `type`: the body's;
   * default for a PATCH: a merge patch.
   */
  readonly ask: <T = ApiObject>(method: string, path: string, body?: object, type?: string) => Promise<ApiAnswer<T>>;
  /** The object at that path; undefined when there is none. */
  readonly read: <T = ApiObject>(path: string) => Promise<T | undefined>;
  readonly list: <T = ApiObject>(path: string) => Promise<readonly T[]>;
  /**
   * Calls `onVersion` with every version of the object at `path` from now on, until `close`. A path that ends with `/`
   * is a collection: all of its objects. Returns once the watch has begun.
   */
  readonly watch: (path: string, onVersion: (object: ApiObject, type: string) => void) => Promise<void>;
  readonly close: () => void;
};

/**
 * The owner of the cluster's kubeconfig, whose requests all run at once; the owner of a token; or a user whom the
 * former impersonates. Or each connection has another ServiceAccount `creator-N` of the namespace default. API priority
 * and fairness limits these as it does all users but admins.
 */
export type Identity = "admin" | "creators" | { readonly token: string } | { readonly user: string };

type Kubeconfig = { readonly users: readonly { readonly user: Readonly<Record<string, string>> }[] };

/** Connects at the first request, and anew after a connection was lost. */
export const connectTo = ({ url, ca, kubeconfig }: ControlPlane, as: Identity = "admin"): Api => {
  const { users } = JSON.parse(readFileSync(kubeconfig, "utf8")) as Kubeconfig;
  const pem = (name: string): Buffer => Buffer.from(users[0]?.user[`client-${name}-data`] ?? "", "base64");
  const headersOf = (index: number): Readonly<Record<string, string>> => {
    if (as === "admin") return {};
    if (as === "creators") return { "impersonate-user": `system:serviceaccount:default:creator-${index}` };
    return "user" in as ? { "impersonate-user": as.user } : { authorization: `Bearer ${as.token}` };
  };
  const isByToken = typeof as === "object" && "token" in as;
  const options = { ca, ...(!isByToken && { cert: pem("certificate"), key: pem("key") }) };
  const sessions = new Map<number, ClientHttp2Session>();
  const sessionAt = (index: number): ClientHttp2Session => {
    const kept = sessions.get(index);
    if (kept !== undefined && !kept.closed && !kept.destroyed) return kept;
    const session = connect(url, options);
    session.on("error", () => undefined); // each of its requests fails with it
    sessions.set(index, session);
    return session;
  };
  let count = 0;
  const ask: Api["ask"] = async (method, path, body, type) => {
    for (;;) {
      const answer = await askOnce(method, path, body, type);
      if (answer.status !== 429) return answer;
      await sleep(1000); // the Retry-After of the API server
    }
  };
  const askOnce = async (method: string, path: string, body?: object, type?: string): Promise<ApiAnswer<never>> => {
    const index = count++ % CONNECTIONS;
    const headers = {
      ...headersOf(index),
      ":method": method,
      ":path": path,
      "content-type": type ?? (method === "PATCH" ? "application/merge-patch+json" : "application/json"),
    };
    // Else Node ends the stream of a DELETE at once, which may have a body (DeleteOptions).
    const options = { signal: AbortSignal.timeout(ANSWER_WITHIN_MS), endStream: body === undefined };
    const stream = sessionAt(index).request(headers, options);
    const status = new Promise<number>((resolve, reject) => {
      stream.on("response", (head) => resolve(Number(head[":status"])));
      stream.on("error", reject);
      stream.on("close", () => reject(new Error(`${method} ${path}: no answer, HTTP/2 error code ${stream.rstCode}`)));
    });
    if (body !== undefined) stream.end(JSON.stringify(body));
    const [code, answer] = await Promise.all([status, text(stream)]);
    return { status: code, body: parsed(answer) as never };
  };
  const read: Api["read"] = async <T>(path: string) => {
    const { status, body } = await ask<T & { readonly message?: string }>("GET", path);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${body.message ?? ""}`);
    return body;
  };
  return {
    ask,
    read,
    list: async <T>(path: string) => (await read<{ readonly items: readonly T[] }>(path))?.items ?? [],
    watch: async (path, onVersion) => {
      const [, folder = "", name = ""] = /^(.*)\/(.*)$/.exec(path) ?? [];
      const query = `watch=1${name === "" ? "" : `&fieldSelector=metadata.name=${name}`}`;
      const stream = sessionAt(CONNECTIONS).request({ ":path": `${folder}?${query}` });
      stream.on("error", () => undefined);
      const lines = createInterface({ input: stream });
      lines.on("error", () => undefined); // it repeats the stream's, when the API server is killed
      lines.on("line", (line) => {
        const { type, object } = JSON.parse(line) as { type: string; object: ApiObject };
        onVersion(object, type);
      });
      await new Promise((resolve) => stream.once("response", resolve));
    },
    close: () => sessions.forEach((session) => session.destroy()),
  };
};

/** Some errors of an API server are plain text. */
const parsed = (answer: string): unknown => {
  try {
    return JSON.parse(answer);
  } catch {
    return { message: answer };
  }
};
