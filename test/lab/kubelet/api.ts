// The API server as an admin's program sees it: one keep-alive connection pool, JSON in and out.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import type { ControlPlane } from "../control-plane/control-plane.ts";
import type { Manifest } from "../control-plane/helm.ts";

export type Answer = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };

export type Api = {
  /** Any request; rejects only when there is no answer. */
  readonly ask: (method: string, path: string, body?: object, type?: string) => Promise<Answer>;
  /** An object or a list of that path; undefined when there is none. */
  readonly read: <T>(path: string) => Promise<T | undefined>;
  readonly list: (path: string) => Promise<readonly Manifest[]>;
  readonly close: () => void;
};

/** Connects as the owner of the cluster's kubeconfig, or with a token. */
export const connectTo = ({ kubeconfig, url, ca }: ControlPlane, token?: string): Api => {
  const { users } = JSON.parse(readFileSync(kubeconfig, "utf8")) as { users: { user: Record<string, string> }[] };
  const pem = (key: string): Buffer => Buffer.from(users[0]?.user[key] ?? "", "base64");
  const identity =
    token === undefined ? { cert: pem("client-certificate-data"), key: pem("client-key-data") } : undefined;
  const agent = new Agent({ keepAlive: true, ca, ...identity });
  const ask: Api["ask"] = async (method, path, body, type = "application/json") => {
    const payload = body && JSON.stringify(body);
    // Node sends none with a DELETE, and the body would be taken for the next request.
    const length = { "content-length": Buffer.byteLength(payload ?? "") };
    const headers = {
      "content-type": type,
      ...length,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    };
    const sent = request(new URL(path, url), { method, agent, headers, signal: AbortSignal.timeout(40_000) });
    const response = once(sent, "response") as Promise<[IncomingMessage]>;
    sent.end(payload);
    const [answer] = await response;
    return { status: answer.statusCode ?? 0, body: read(await text(answer)) };
  };
  const get: Api["read"] = async <T>(path: string) => {
    const { status, body } = await ask("GET", path);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${String(body["message"])}`);
    return body as T;
  };
  return {
    ask,
    read: get,
    list: async (path) => (await get<{ items: readonly Manifest[] }>(path))?.items ?? [],
    close: () => {
      agent.destroy();
    },
  };
};

/** Some errors of an API server are plain text. */
const read = (text: string): Answer["body"] => {
  try {
    return JSON.parse(text) as Answer["body"];
  } catch {
    return { message: text };
  }
};
