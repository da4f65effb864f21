import { createServer, type Server, type ServerResponse } from "node:http";
import type { Registry } from "prom-client";

/** `settle` runs the counting that is still waiting. */
type Counted = { readonly registry: Registry; readonly settle: () => void };

/**
 * Serves `GET /metrics` and `GET /healthz`, on a port of their own: network policies can separate callers of the
 * webhook from readers of metrics. `/healthz` answers before the process has a certificate, which it cannot get while
 * the API server is down.
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
