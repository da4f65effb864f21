/** Shared by the tests of the running server: a client like kube-apiserver's, and the files of a mounted volume. */
import { once } from "node:events";
import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { Agent as HttpAgent, type IncomingHttpHeaders, request as httpRequest } from "node:http";
import { Agent, request } from "node:https";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { TLSSocket } from "node:tls";

export const review = readFileSync(new URL("../fixtures/reviews/review-pod-create.json", import.meta.url), "utf8");

export type ClientAnswer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Of the server's certificate; empty over plain HTTP. */
  readonly serial: string;
};
type Call = { readonly ca?: string; readonly agent?: Agent | HttpAgent; readonly body?: string };

/** No byte of the request was sent: the connection was refused, or reset before its TLS handshake had ended. */
export class NotConnected extends Error {
  constructor(cause: NodeJS.ErrnoException) {
    super(cause.code ?? cause.message, { cause });
  }
}

const connected = new WeakSet<Socket>();

/** POSTs a review, or GETs where there is no body to send. */
export const send = (url: string, { ca, agent, body }: Call = {}): Promise<ClientAnswer> =>
  new Promise((resolve, reject) => {
    const isTls = url.startsWith("https:");
    const call = (isTls ? request : httpRequest)(
      url,
      {
        method: body === undefined ? "GET" : "POST",
        headers: body === undefined ? {} : { "content-type": "application/json" },
        agent: agent ?? (isTls ? new Agent({ ca }) : new HttpAgent()),
      },
      (response) => {
        const { socket } = response;
        const serial = socket instanceof TLSSocket ? socket.getPeerCertificate().serialNumber : "";
        response
          .setEncoding("utf8")
          .toArray()
          .then((parts: string[]) => {
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parts.join(""), serial });
          }, reject);
      },
    );
    let isConnected = false;
    call.on("socket", (socket) => {
      if (connected.has(socket)) isConnected = true;
      else
        socket.once(isTls ? "secureConnect" : "connect", () => {
          isConnected = true;
          connected.add(socket);
        });
    });
    call.on("error", (error) => reject(isConnected ? error : new NotConnected(error))).end(body);
  });

export const admitAt = (url: string, call: Omit<Call, "body"> = {}): Promise<ClientAnswer> =>
  send(`${url}/mutate?timeout=10s`, { ...call, body: review });

/** Connects and sends nothing. */
export const silent = async (url: string): Promise<Socket> => {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
};

export type Traffic = {
  readonly answers: readonly ClientAnswer[];
  /** The errors of requests without an answer, except those whose connection was never made. */
  readonly failures: readonly unknown[];
  /** Resolves when the next `count` requests are answered. */
  readonly answered: (count: number) => Promise<void>;
  /** Resolves when every client has stopped, after a call or because the server listens no more. */
  readonly end: () => Promise<void>;
  readonly ended: Promise<void>;
};

/** Enough that the server, and not its clients, has the machine. */
const PAUSE_MS = 20;

/** Sends one review after another, on a kept connection and on new ones, until the server listens no more. */
export const traffic = (url: string, ca: string): Traffic => {
  const answers: ClientAnswer[] = [];
  const failures: unknown[] = [];
  const waiting = new Set<() => void>();
  let isEnding = false;
  const client = async (agent: Agent): Promise<void> => {
    while (!isEnding) {
      try {
        answers.push(await admitAt(url, { agent }));
        waiting.forEach((wake) => wake());
        await setTimeout(PAUSE_MS);
      } catch (error) {
        if (!(error instanceof NotConnected)) failures.push(error);
        break;
      }
    }
    agent.destroy();
  };
  const ended = Promise.all([
    client(new Agent({ ca, keepAlive: true, maxSockets: 1 })),
    client(new Agent({ ca, maxCachedSessions: 0 })),
  ]).then(() => undefined);
  return {
    answers,
    failures,
    ended,
    answered: (count) =>
      new Promise((resolve) => {
        const least = answers.length + count;
        const wake = (): void => {
          if (answers.length < least) return;
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
        void ended.then(() => resolve());
      }),
    end: () => {
      isEnding = true;
      return ended;
    },
  };
};

let versions = 0;
/** Puts a new version of a volume's files in place as the kubelet does: by one swap of the link `..data`. */
export const mount = (folder: string, files: Readonly<Record<string, string>>): void => {
  versions += 1;
  const version = join(folder, `..version_${versions}`);
  mkdirSync(version, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(version, name), text);
  symlinkSync(version, join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
  if (versionsOf(folder) === 1) {
    for (const name of Object.keys(files)) symlinkSync(join("..data", name), join(folder, name));
  }
};

const seen = new Map<string, number>();
const versionsOf = (folder: string): number => {
  const count = (seen.get(folder) ?? 0) + 1;
  seen.set(folder, count);
  return count;
};
