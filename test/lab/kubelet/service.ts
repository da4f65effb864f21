// The work of kube-proxy for a Service: new connections go to an endpoint that the EndpointSlices call ready; those
// that exist stay.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Api } from "../control-plane/api.ts";

type Slice = {
  /** null while no pod is ready. */
  readonly ports: readonly { readonly name: string; readonly port: number }[] | null;
  readonly endpoints:
    | readonly {
        readonly addresses: readonly string[];
        readonly conditions: { readonly ready?: boolean };
      }[]
    | null;
};
export type PlayedEndpoint = { readonly host: string; readonly port: number };
export type PlayedService = { readonly endpoints: () => readonly PlayedEndpoint[]; readonly stop: () => Promise<void> };

/** Listens on loopback for a Service's port of this name. `addressOf`: where a pod really listens. */
export const playService = async (
  api: Api,
  service: { readonly namespace: string; readonly name: string; readonly port: string },
  addressOf: (podIp: string) => string | undefined,
  listenPort: number,
): Promise<PlayedService> => {
  const slices =
    `/apis/discovery.k8s.io/v1/namespaces/${service.namespace}/endpointslices` +
    `?labelSelector=kubernetes.io/service-name=${service.name}`;
  let endpoints: readonly PlayedEndpoint[] = [];
  let turn = 0;
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const endpoint = endpoints[turn++ % endpoints.length];
    if (endpoint === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect(endpoint);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => open.delete(socket));
    }
    client.once("close", () => upstream.destroy());
    upstream.once("close", () => client.destroy());
    client.pipe(upstream).pipe(client);
  });
  await once(server.listen(listenPort, "127.0.0.1"), "listening");

  let isStopped = false;
  const look = async (): Promise<void> => {
    while (!isStopped) {
      const items = await api.list<Slice>(slices);
      endpoints = items.flatMap(({ ports, endpoints: each }) => {
        const port = ports?.find(({ name }) => name === service.port)?.port ?? 0;
        return (each ?? [])
          .filter(({ conditions }) => conditions.ready === true)
          .flatMap(({ addresses }) => addresses.map(addressOf))
          .flatMap((host) => (host === undefined ? [] : [{ host, port }]));
      });
      await sleep(100);
    }
  };
  const looking = look();
  return {
    endpoints: () => endpoints,
    stop: async () => {
      isStopped = true;
      await looking;
      open.forEach((socket) => socket.destroy());
      server.close();
    },
  };
};
