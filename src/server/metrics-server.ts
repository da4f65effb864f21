import { createServer, type Server, type ServerResponse } from "node:http";
import type { Registry } from "prom-client";

/** `settle` counts what is not counted yet. */
type Counted = { readonly registry: Registry; readonly settle: () => void };

/**
 * `GET /metrics` and `GET /healthz`, listening. On a port of its own: who may call the webhook need not see it, and the other way round. And the
 * process is alive before it has a certificate, which it may wait for as long as the API server is out of reach.
 */
export const serveMetrics = ({ registry, settle }: Counted, host: string, port: number): Promise<Server> => {
  const server = createServer((request, response) => {
    const path = request.method === "GET" ? request.url?.split("?", 1)[0] : undefined;
    if (path === "/healthz") response.end("ok\n");
    else if (path === "/metrics") {
      settle();
      writeMetrics(registry, response);
    } else response.writeHead(404).end();
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      resolve(server);
    });
  });
};

const writeMetrics = (registry: Registry, response: ServerResponse): void => {
  registry.metrics().then(
    (text) => response.writeHead(200, { "content-type": registry.contentType }).end(text),
    (error: unknown) => response.writeHead(500).end(String(error)),
  );
};
