// The API server as busy clients see it: a few HTTP/2 connections, hundreds of requests at once. kubectl is a process a call,
// and too slow for that.
import { readFile } from "node:fs/promises";
import { type ClientHttp2Session, connect } from "node:http2";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { ControlPlane } from "./control-plane.ts";

const CONNECTIONS = 10;

export type Stored = {
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
export type Answer<T = Stored> = { readonly status: number; readonly body: T };

export type Api = {
  /** One request, again where the API server asks to come later (429); rejects when there is no answer. */
  readonly ask: <T = Stored>(
    method: "GET" | "POST" | "PATCH" | "DELETE",
    path: string,
    body?: object,
  ) => Promise<Answer<T>>;
  /** Tells every version of the object at `path` from now on, until `close`. Returns once it is under way. */
  readonly watch: (path: string, onVersion: (object: Stored, type: string) => void) => Promise<void>;
  readonly close: () => void;
};

type Kubeconfig = { readonly users: readonly { readonly user: Readonly<Record<string, string>> }[] };

/**
 * Connects lazily, and anew after a connection was lost. As admin, whom the API server lets do all at once; or on each
 * connection as another ServiceAccount `creator-N` of the namespace default, in which case it lets only so many requests run
 * at a time as it does for all who are not admins (API priority and fairness).
 */
export const openApi = async ({ url, ca, kubeconfig }: ControlPlane, user: "admin" | "creators"): Promise<Api> => {
  const { users } = JSON.parse(await readFile(kubeconfig, "utf8")) as Kubeconfig;
  const pem = (name: string): Buffer => Buffer.from(users[0]?.user[`client-${name}-data`] ?? "", "base64");
  const options = { ca, cert: pem("certificate"), key: pem("key") };
  const sessions = new Map<number, ClientHttp2Session>();
  const sessionAt = (slot: number): ClientHttp2Session => {
    const kept = sessions.get(slot);
    if (kept !== undefined && !kept.closed && !kept.destroyed) return kept;
    const session = connect(url, options);
    session.on("error", () => undefined); // each of its requests fails with it
    sessions.set(slot, session);
    return session;
  };
  let count = 0;
  const ask = async (method: string, path: string, body?: object): Promise<Answer<never>> => {
    for (;;) {
      const answer = await askOnce(method, path, body);
      if (answer.status !== 429) return answer;
      await sleep(1000); // what its Retry-After says
    }
  };
  const askOnce = async (method: string, path: string, body?: object): Promise<Answer<never>> => {
    const slot = count++ % CONNECTIONS;
    const headers = {
      ...(user === "creators" && { "impersonate-user": `system:serviceaccount:default:creator-${slot}` }),
      ":method": method,
      ":path": path,
      "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json",
    };
    const stream = sessionAt(slot).request(headers);
    const status = new Promise<number>((resolve, reject) => {
      stream.on("response", (head) => resolve(Number(head[":status"])));
      stream.on("error", reject);
      stream.on("close", () => reject(new Error(`${method} ${path}: no answer`)));
    });
    stream.end(body === undefined ? undefined : JSON.stringify(body));
    const [code, answer] = await Promise.all([status, text(stream)]);
    return { status: code, body: parsed(answer) as never };
  };
  return {
    ask,
    watch: async (path, onVersion) => {
      const [, folder = "", name = ""] = /^(.*)\/(.*)$/.exec(path) ?? [];
      const query = `watch=1&fieldSelector=metadata.name=${name}`;
      const stream = sessionAt(CONNECTIONS).request({ ":path": `${folder}?${query}` });
      stream.on("error", () => undefined);
      createInterface({ input: stream }).on("line", (line) => {
        const { type, object } = JSON.parse(line) as { type: string; object: Stored };
        onVersion(object, type);
      });
      await new Promise((resolve) => stream.once("response", resolve));
    },
    close: () => sessions.forEach((session) => session.destroy()),
  };
};

/** Nearly every answer is JSON; that a request waited too long is not. */
const parsed = (answer: string): unknown => {
  try {
    return JSON.parse(answer);
  } catch {
    return { message: answer };
  }
};
