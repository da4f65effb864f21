// An API server in trouble: a proxy before the real one that does to each request what the test says.
import { once } from "node:events";
import { Agent, createServer, request } from "node:https";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { makeServingCertificate } from "../../../src/certificates/issue.ts";
import type { ControlPlane } from "./control-plane.ts";

export type Fate =
  | { readonly kind: "pass" }
  /** The API server never gets it. */
  | { readonly kind: "answer"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: "reset" }
  /** It takes effect, and its answer stops in the middle. */
  | { readonly kind: "cut" }
  /** It takes effect, and its answer comes late. */
  | { readonly kind: "stall"; readonly ms: number };

/** `count`: of the requests that came since the fault was set, from 1. */
export type Fault = (method: string, path: string, count: number) => Fate;

export type FaultyApiServer = {
  readonly url: string;
  readonly ca: string;
  /** Requests since the fault was set. */
  readonly count: () => number;
  readonly set: (fault: Fault) => void;
  readonly close: () => Promise<void>;
};

export const healthy: Fault = () => ({ kind: "pass" });

type Reply = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: Buffer };

/** Starts the proxy, without a fault at first. */
export const startFaultyApiServer = async ({ url, ca: upstreamCa }: ControlPlane): Promise<FaultyApiServer> => {
  const { ca, cert, key } = await makeServingCertificate(["127.0.0.1"], 1, new Date());
  const agent = new Agent({ ca: upstreamCa, keepAlive: true });
  let fault = healthy;
  let count = 0;
  const forward = async (asked: IncomingMessage): Promise<Reply> => {
    const body = await buffer(asked);
    const { host: _host, ...headers } = asked.headers;
    const upstream = request(new URL(asked.url ?? "", url), { method: asked.method, headers, agent });
    const answered = once(upstream, "response") as Promise<[IncomingMessage]>;
    upstream.on("error", () => undefined); // it may come when the answer has begun; whoever reads that learns of it
    upstream.end(body);
    const [answer] = await answered;
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: await buffer(answer) };
  };
  const relay = async (asked: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const fate = fault(asked.method ?? "", asked.url ?? "", ++count);
    if (fate.kind === "reset") {
      asked.socket.destroy();
      return;
    }
    if (fate.kind === "answer") {
      answer.writeHead(fate.status, { "content-type": "application/json", ...fate.headers }).end(statusOf(fate.status));
      return;
    }
    const { status, headers, body } = await forward(asked);
    if (fate.kind === "stall") await sleep(fate.ms);
    answer.writeHead(status, headers);
    if (fate.kind !== "cut") {
      answer.end(body);
      return;
    }
    answer.write(body.subarray(0, body.length / 2));
    await sleep(20);
    asked.socket.destroy();
  };
  const server = createServer({ cert, key }, (asked, answer) => {
    // The API server is gone: so is the connection to it.
    relay(asked, answer).catch(() => asked.socket.destroy());
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca,
    count: () => count,
    set: (next) => {
      fault = next;
      count = 0;
    },
    close: async () => {
      agent.destroy();
      sockets.forEach((socket) => socket.destroy());
      server.close();
      await once(server, "close");
    },
  };
};

const REASONS: Readonly<Record<number, string>> = {
  409: "Conflict",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
};

const statusOf = (code: number): string =>
  JSON.stringify({
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    code,
    reason: REASONS[code],
    message: "made up",
  });
