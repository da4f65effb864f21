/** An API server of the tests' own on loopback: plain HTTP or TLS, answers from a memory cluster or as a test says. */
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Test } from "tap";
import { ClusterError, type Kind, type KubeObject, type Resource, resources } from "../../src/cluster/cluster.ts";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import { MANAGER } from "../../src/core/names.ts";

export type Loopback = {
  readonly url: string;
  /** The number of connections that were opened. */
  readonly sockets: () => number;
  readonly close: () => Promise<void>;
};

/** A server on a free port of 127.0.0.1, with TLS when `tls` is given. */
export const listen = async (answer: RequestListener, tls?: ServerOptions): Promise<Loopback> => {
  const server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer);
  let sockets = 0;
  server.on(tls === undefined ? "connection" : "secureConnection", () => sockets++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http${tls === undefined ? "" : "s"}://127.0.0.1:${port}`,
    sockets: () => sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
};

/** Writes a kubeconfig of one context and gives its path. JSON is YAML. */
export const writeKubeconfig = (
  t: Test,
  cluster: Readonly<Record<string, unknown>>,
  user: Readonly<Record<string, unknown>> = {},
): string => {
  const path = join(t.testdir({}), "kubeconfig");
  const named = { "current-context": "c", contexts: [{ name: "c", context: { cluster: "c", user: "u" } }] };
  writeFileSync(path, JSON.stringify({ ...named, clusters: [{ name: "c", cluster }], users: [{ name: "u", user }] }));
  return path;
};

/** Answers with a code and a body. */
export const reply = (
  response: ServerResponse,
  code: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void => {
  response.writeHead(code, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
};

export const status = (code: number, reason: string, message: string, details?: unknown): unknown => ({
  apiVersion: "v1",
  kind: "Status",
  status: "Failure",
  code,
  reason,
  message,
  details,
});

/** The Kubernetes API over a memory cluster: paths, methods, media types and parameters as the real one wants them. */
export const overMemory = (): { readonly memory: MemoryCluster; readonly answer: RequestListener } => {
  const memory = createMemoryCluster();
  return {
    memory,
    answer: (request, response) => {
      ask(memory, request).then(
        (body) => {
          reply(response, body === undefined ? 404 : 200, body ?? status(404, "NotFound", "not found"));
        },
        (error: unknown) => {
          const { code, reason, message } = error as ClusterError;
          reply(response, code, status(code, reason, message));
        },
      );
    },
  };
};

const route =
  /^\/(?:api\/(?<core>v1)|apis\/(?<group>[^/]+\/[^/]+))(?:\/namespaces\/(?<namespace>[^/]+))?\/(?<plural>[a-z]+)(?:\/(?<name>[^/]+)(?:\/(?<part>[a-z]+))?)?$/;

const ask = async (memory: MemoryCluster, request: IncomingMessage): Promise<unknown> => {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://loopback");
  const { core, group, namespace = "", plural, name = "", part } = route.exec(pathname)?.groups ?? {};
  const isAsked = (each: Resource): boolean =>
    each.plural === plural && each.apiVersion === (core ?? group) && each.subresource === part;
  const [kind] = Object.entries(resources).find(([, each]) => isAsked(each)) ?? [];
  const ref = { kind: kind as Kind, namespace, name };
  const verb = `${request.method ?? ""} ${request.headers["content-type"] ?? ""}`;
  const signal = AbortSignal.timeout(10_000);
  const applying = name === "" ? "" : `fieldManager=${MANAGER}&force=true&fieldValidation=Ignore`;
  const params = searchParams.toString();
  const body = (await text(request)) as KubeObject;
  if (verb === "GET " && name !== "") return memory.get(ref, signal);
  if (verb === "GET ") {
    const selector = (searchParams.get("labelSelector") ?? "").split(",").filter((part) => part !== "");
    const labels = Object.fromEntries(selector.map((part) => part.split("=") as [string, string]));
    const items = (await memory.list(ref.kind, namespace, labels, signal)).map((item) =>
      Object.fromEntries(Object.entries(item).filter(([field]) => field !== "apiVersion" && field !== "kind")),
    );
    return { apiVersion: core ?? group, kind: `${ref.kind}List`, metadata: {}, items };
  }
  if (verb === "POST application/json" && params === `fieldManager=${MANAGER}`) return memory.create(body, signal);
  if (verb === "PUT application/json" && params === `fieldManager=${MANAGER}`) return memory.update(body, signal);
  if (verb === "PATCH application/apply-patch+yaml" && params === applying) return memory.apply(body, signal);
  if (verb === "DELETE application/json" && params === "") {
    const { preconditions } = body as unknown as { preconditions: object };
    const there = await memory.get(ref, signal);
    if (there === undefined)
      throw new ClusterError({ verb: "delete", ref, code: 404, reason: "NotFound", says: "not found" });
    await memory.delete({ ...there, metadata: { ...there.metadata, ...preconditions } }, signal);
    return status(200, "", "deleted");
  }
  throw new ClusterError({ verb: "get", ref, code: 415, reason: "UnsupportedMediaType", says: `${verb}?${params}` });
};

const text = async (request: IncomingMessage): Promise<unknown> => {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk as string;
  return body === "" ? undefined : JSON.parse(body);
};
