/**
 * The client of the bench, a process of its own: keep-alive TLS connections, on each one request after another. Written
 * on bare sockets, so that the client costs less than the server that it measures.
 */
import { connect, type TLSSocket } from "node:tls";

export type Order = {
  readonly port: number;
  readonly ca: string;
  /** Sent in turn. */
  readonly bodies: readonly string[];
  readonly connections: number;
  readonly ms: number;
};
export type Account = { readonly answered: number; readonly failed: number };

/** Kept from one order to the next, by port: a handshake is no part of what is measured. */
const kept = new Map<number, readonly TLSSocket[]>();

const load = async ({ port, ca, bodies, connections, ms }: Order): Promise<Account> => {
  const requests = bodies.map(requestOf);
  let sent = 0;
  const next = (): Buffer => requests[sent++ % requests.length] as Buffer;
  const sockets = kept.get(port) ?? (await Promise.all(Array.from({ length: connections }, () => open(port, ca))));
  kept.set(port, sockets);
  const end = performance.now() + ms;
  stayAwake(end);
  const accounts = await Promise.all(sockets.map((socket) => askUntil(socket, next, end)));
  return {
    answered: accounts.reduce((sum, { answered }) => sum + answered, 0),
    failed: accounts.reduce((sum, { failed }) => sum + failed, 0),
  };
};

/**
 * A client that is faster than the server sleeps between two answers. Waking it costs the answering server CPU time, so
 * the slower server would pay for being slow. This client never sleeps.
 */
const stayAwake = (end: number): void => {
  if (performance.now() < end) setImmediate(stayAwake, end);
};

/** As kube-apiserver sends it. */
const requestOf = (body: string): Buffer => {
  const headers = [
    "POST /mutate?timeout=10s HTTP/1.1",
    "host: localhost",
    "content-type: application/json",
    "accept: application/json, */*",
    "accept-encoding: gzip",
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${headers.join("\r\n")}\r\n\r\n${body}`);
};

const open = (port: number, ca: string): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca, servername: "localhost" }, () => {
      resolve(socket);
    });
    socket.on("error", reject);
  });

const askUntil = (socket: TLSSocket, next: () => Buffer, end: number): Promise<Account> =>
  new Promise((resolve) => {
    let answered = 0;
    let failed = 0;
    let received: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const status = statusOf(received);
      if (status === undefined) return;
      if (status === 200) answered += 1;
      else failed += 1;
      received = Buffer.alloc(0);
      if (performance.now() < end) socket.write(next());
      else finish();
    };
    const onClose = (): void => {
      failed += 1;
      finish();
    };
    const finish = (): void => {
      socket.off("data", onData).off("close", onClose);
      resolve({ answered, failed });
    };
    socket.on("data", onData).once("close", onClose);
    socket.write(next());
  });

/** The status of a whole answer; undefined: there is more to come. */
const statusOf = (received: Buffer): number | undefined => {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = received.toString("latin1", 0, end);
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
  return received.length < end + 4 + length ? undefined : Number(head.slice(9, 12));
};

process.on("message", (order: Order) => {
  void load(order).then((account) => process.send?.(account));
});
