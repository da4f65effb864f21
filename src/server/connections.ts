import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Limits } from "./limits.ts";

/** After the last answer: for its bytes to leave, and for a connection that was just accepted to say what it wants. */
const LINGER_MS = 1000;
/** Between two looks at all connections. */
const LOOK_MS = 1000;

/** Why the server ended a connection before its time. */
export type EndReason = "too-many" | "silent" | "slow-head";

type Connection = {
  readonly key: string;
  /** As it was accepted. */
  readonly socket: Socket;
  /** The socket of the connection's requests: the same, or the TLS socket above it. */
  stream: Socket;
  /** A review that it carried was answered. */
  isKnown: boolean;
  /** The newest of its requests, while one is under way. */
  request?: IncomingMessage | undefined;
  underWay: number;
  /** When it was opened, or the last request ended. */
  quietSince: number;
  /** The bytes that `stream` had read at that moment. */
  readByThen: number;
  /** When a look first found the beginning of another request. */
  headSince?: number | undefined;
};

export type Connections = {
  /** Ends those that are open, once no request is under way. */
  readonly end: () => void;
};

type Options = Pick<Limits, "connections" | "silent" | "arrivalMs"> & { readonly onEnd?: (why: EndReason) => void };

/**
 * Watches a server's connections. It limits those of unknown callers, and it ends all connections when the server
 * closes.
 *
 * A connection is known once a review on it was answered. Those of the API server are known from their first request
 * on. Where there are too many connections, the oldest unknown one without a whole request under way is closed. A
 * number of silent connections may stay. The API server's client opens spare ones, and closing a spare one at the
 * moment of its use fails an admission.
 *
 * Node's `close` ends connections between two requests and waits for all others. A connection that never sent a request
 * would delay it for minutes: a client's spare connection, or a scanner's half-done handshake.
 */
export const watchConnections = (
  server: Server,
  { connections: most, silent, arrivalMs, onEnd }: Options,
): Connections => {
  /** From the oldest on. */
  const open = new Map<string, Connection>();
  const byStream = new WeakMap<Socket, Connection>();
  let underWay = 0;
  let isClosing = false;
  let lingering: NodeJS.Timeout | undefined;

  const drop = ({ key, socket, stream }: Connection, why: EndReason): void => {
    open.delete(key);
    stream.destroy();
    socket.destroy();
    onEnd?.(why);
  };

  server.on("connection", (socket: Socket) => {
    const key = keyOf(socket);
    const opened = { key, socket, stream: socket, isKnown: false, underWay: 0, quietSince: performance.now() };
    const connection: Connection = { ...opened, readByThen: 0 };
    open.set(key, connection);
    byStream.set(socket, connection);
    socket.once("close", () => open.delete(key));
    if (open.size > most) drop(leastNeeded([...open.values()], connection), "too-many");
  });
  server.on("secureConnection", (stream: Socket) => {
    const connection = open.get(keyOf(stream));
    if (connection === undefined) return;
    connection.stream = stream;
    connection.headSince = undefined;
    byStream.set(stream, connection);
  });

  const endSoon = (): void => {
    clearTimeout(lingering);
    if (underWay > 0) return;
    lingering = setTimeout(() => open.forEach(({ socket }) => socket.destroy()), LINGER_MS);
    lingering.unref();
  };
  // One function for all: a response closes once, and this is every request's way.
  function onClosed(this: ServerResponse): void {
    const { socket: stream, method } = this.req;
    underWay -= 1;
    const connection = byStream.get(stream);
    if (connection) {
      connection.underWay -= 1;
      connection.quietSince = performance.now();
      connection.readByThen = stream.bytesRead;
      connection.isKnown ||= method === "POST" && this.statusCode === 200;
    }
    if (isClosing) endSoon();
  }
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    underWay += 1;
    const connection = byStream.get(request.socket);
    if (connection) {
      connection.underWay += 1;
      connection.request = request;
      connection.headSince = undefined;
    }
    if (isClosing) clearTimeout(lingering);
    response.on("close", onClosed);
  });

  const look = (): void => {
    const now = performance.now();
    const strangers: Connection[] = [];
    for (const connection of open.values()) {
      if (connection.underWay > 0) continue;
      const { isKnown, quietSince } = connection;
      if (hasBegun(connection)) {
        connection.headSince ??= now;
        if (now - connection.headSince > arrivalMs) drop(connection, "slow-head");
      } else if (!isKnown && now - quietSince > arrivalMs) strangers.push(connection);
    }
    for (const connection of strangers.slice(0, Math.max(0, strangers.length - silent))) drop(connection, "silent");
  };
  const looking = setInterval(look, Math.min(LOOK_MS, arrivalMs));
  looking.unref();
  server.once("close", () => clearInterval(looking));

  return {
    end: () => {
      isClosing = true;
      endSoon();
    },
  };
};

/** Both sockets of a TLS connection have the same. */
const keyOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

/** A request's head has begun to come. */
const hasBegun = ({ stream, readByThen }: Connection): boolean => stream.bytesRead > readByThen;

/**
 * A stranger's before one that is known, the oldest of each; none whose whole request is being answered. Else the one
 * that was opened last.
 */
const leastNeeded = (connections: readonly Connection[], opened: Connection): Connection => {
  const free = connections.filter(
    (each) => each !== opened && (each.underWay === 0 || each.request?.complete === false),
  );
  const known = free.filter(({ isKnown }) => isKnown).sort((one, other) => one.quietSince - other.quietSince);
  return free.find(({ isKnown }) => !isKnown) ?? known[0] ?? opened;
};
