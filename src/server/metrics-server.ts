import { createServer, type Server } from "node:http";
import type { Registry } from "prom-client";

/** `GET /metrics`, listening. On a port of its own: who may call the webhook need not see it, and the other way round. */
export const serveMetrics = (registry: Registry, host: string, port: number): Promise<Server> => {
  const server = createServer((request, response) => {
    if (request.method !== "GET" || request.url?.split("?", 1)[0] !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { "content-type": registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      resolve(server);
    });
  });
};
