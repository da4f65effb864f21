// The few requests that the harness itself sends.
import { once } from "node:events";
import { request as requestHttp } from "node:http";
import type { IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import type { RequestOptions } from "node:https";
import { text } from "node:stream/consumers";
import type { Credentials } from "./credentials.ts";

export type TextAnswer = { readonly status: number | undefined; readonly body: string };

const answerWithin = 2_000;

async function send(request: typeof requestHttps, options: RequestOptions, body?: object): Promise<TextAnswer> {
  const signal = AbortSignal.timeout(answerWithin);
  const headers = { "content-type": "application/json" };
  const sent = request({ host: "127.0.0.1", agent: false, headers, signal, ...options });
  const response = once(sent, "response") as Promise<[IncomingMessage]>;
  sent.on("error", () => undefined); // it may come when the answer has begun; whoever reads that learns of it
  sent.end(body && JSON.stringify(body));
  const [answer] = await response;
  return { status: answer.statusCode, body: await text(answer) };
}

/** Asks etcd, which has no certificate. */
export function getFromEtcd(port: number, path: string): Promise<TextAnswer> {
  return send(requestHttp, { port, path });
}

/** Asks a component that signs its certificate itself; nothing is sent that it should not know. */
export function getFromComponent(port: number, path: string): Promise<TextAnswer> {
  return send(requestHttps, { port, path, rejectUnauthorized: false });
}

export type ApiServer = (method: "GET" | "POST", path: string, body?: object) => Promise<TextAnswer>;

/** Returns a function that sends requests to the API server as admin. */
export function apiServerAt(port: number, { ca, admin }: Credentials): ApiServer {
  return (method, path, body) =>
    send(requestHttps, { port, method, path, ca, cert: admin.certificate, key: admin.key }, body);
}
