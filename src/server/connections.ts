import type { Server } from "node:http";
import type { Socket } from "node:net";

/** After the last answer: for its bytes to leave, and for a connection that was just accepted to say what it wants. */
const LINGER_MS = 1000;

/**
 * Watches a server's connections, so that closing it ends. Node's `close` ends connections between two requests and waits for
 * all others; one that never sent a request (a client's spare connection, a scanner's half-done handshake) would hold it up
 * for minutes. The function that is returned ends them, once no request is under way.
 */
export const watchConnections = (server: Server): (() => void) => {
  const sockets = new Set<Socket>();
  let underWay = 0;
  let isClosing = false;
  let timer: NodeJS.Timeout | undefined;
  const endSoon = (): void => {
    clearTimeout(timer);
    if (underWay > 0) return;
    timer = setTimeout(() => sockets.forEach((socket) => socket.destroy()), LINGER_MS);
    timer.unref();
  };
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  // One function for all: a response closes once, and this is every request's way.
  const onClosed = (): void => {
    underWay -= 1;
    if (isClosing) endSoon();
  };
  server.on("request", (_request, response) => {
    underWay += 1;
    if (isClosing) clearTimeout(timer);
    response.on("close", onClosed);
  });
  return () => {
    isClosing = true;
    endSoon();
  };
};
