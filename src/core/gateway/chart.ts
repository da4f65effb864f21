/** A gateway as the flowgen chart makes it (`wireguardGateway`, chart 0.19.0): the tunnels and the forwards that its Deployment and Service hold. */
import * as z from "zod";
import { readHost } from "../host.ts";
import { COMPONENT, GATEWAY_COMPONENT } from "../names.ts";
import type { PlacedGateway } from "../config/config.ts";
import { secretKeyOf } from "../config/identity.ts";

export type ChartForward = {
  readonly name: string;
  /** Of the container. */
  readonly port: number;
  readonly targetHost: string;
  readonly targetPort: number;
  readonly servicePort: number;
};
export type ChartTunnel = { readonly name: string; readonly secretName: string; readonly secretKey: string };
export type ChartGateway = {
  readonly tunnels: readonly ChartTunnel[];
  readonly forwards: readonly ChartForward[];
  /** Lines of the forwarding container, and ports of the Service, that are no forward of the chart. */
  readonly unread: readonly string[];
};

const deploymentSchema = z.object({
  spec: z.object({
    template: z.object({
      metadata: z.object({ labels: z.object({ [COMPONENT]: z.literal(GATEWAY_COMPONENT) }) }),
      spec: z.object({
        containers: z.array(
          z.object({
            name: z.string(),
            args: z.array(z.string()).default([]),
            ports: z.array(z.object({ name: z.string().optional(), containerPort: z.number() })).default([]),
            volumeMounts: z
              .array(z.object({ name: z.string(), mountPath: z.string(), subPath: z.string().optional() }))
              .default([]),
          }),
        ),
        volumes: z
          .array(z.object({ name: z.string(), secret: z.object({ secretName: z.string() }).optional() }))
          .default([]),
      }),
    }),
  }),
});
const serviceSchema = z.object({
  spec: z.object({
    selector: z.object({ [COMPONENT]: z.literal(GATEWAY_COMPONENT) }),
    ports: z
      .array(z.object({ name: z.string().optional(), port: z.number(), targetPort: z.union([z.number(), z.string()]) }))
      .default([]),
  }),
});
type ServicePorts = z.infer<typeof serviceSchema>["spec"]["ports"];

/** Whether a Service selects a gateway's pods. */
export const isGatewayService = (service: unknown): boolean => serviceSchema.safeParse(service).success;

/**
 * The content of the chart's Deployment and Service; undefined: the Deployment is not the chart's. `service` undefined:
 * it is gone, or another has its name, and each forward has its own port there.
 */
export const readChartGateway = (deployment: unknown, service: unknown): ChartGateway | undefined => {
  const { data } = deploymentSchema.safeParse(deployment);
  const pod = data?.spec.template.spec;
  const [wireguard, forwarding] = ["wireguard", "port-forward"].map((name) =>
    pod?.containers.find((container) => container.name === name),
  );
  if (pod === undefined || wireguard === undefined || forwarding === undefined) return undefined;
  const tunnels = wireguard.volumeMounts.flatMap(({ name, mountPath, subPath }) => {
    const secretName = pod.volumes.find((volume) => volume.name === name)?.secret?.secretName;
    const [, tunnel] = /([^/]+)\.conf$/.exec(mountPath) ?? [];
    if (secretName === undefined || tunnel === undefined) return [];
    return [{ name: tunnel, secretName, secretKey: subPath ?? `${tunnel}.conf` }];
  });
  const ports = serviceSchema.safeParse(service).data?.spec.ports ?? [];
  const lines = forwarding.args
    .flatMap((text) => text.split("\n"))
    .map((line) => line.trim())
    .filter((line) => !/^(#.*|wait|)$/.test(line));
  const read = lines.map((line) => ({ line, forward: forwardOf(line, forwarding.ports, ports) }));
  const forwards = read.flatMap(({ forward }) => forward ?? []);
  return {
    tunnels,
    forwards,
    unread: [
      ...read.filter(({ forward }) => forward === undefined).map(({ line }) => JSON.stringify(line)),
      ...ports
        .filter(({ port }) => forwards.every(({ servicePort }) => servicePort !== port))
        .map(({ port, targetPort }) => `the Service's port ${port}, which leads to ${targetPort}`),
    ],
  };
};

/** `socat TCP-LISTEN:1433,fork,reuseaddr TCP:10.0.0.5:1433 &` */
const SOCAT = /^socat\s+TCP[46]?-LISTEN:(\d+)(?:,\S+)?\s+TCP[46]?:(\[[^\]\s]+\]|[^:,\s]+):(\d+)(?:,\S+)?\s*&?$/;

const forwardOf = (
  line: string,
  ports: readonly { readonly name?: string | undefined; readonly containerPort: number }[],
  servicePorts: ServicePorts,
): ChartForward | undefined => {
  const [, listen, host = "", targetPort] = SOCAT.exec(line) ?? [];
  const reading = readHost(host.replace(/^\[|\]$/g, ""));
  if (listen === undefined || reading.kind === "invalid") return undefined;
  const port = Number(listen);
  const { name = `forward-${port}` } = { ...ports.find((each) => each.containerPort === port) };
  const led = servicePorts.filter(({ targetPort: to }) => to === port || to === name);
  // Two ports of the Service have it as target: the second one counts as a port that is not read.
  const { port: servicePort = port } = { ...led[0] };
  return { name, port, targetHost: reading.host, targetPort: Number(targetPort), servicePort };
};

/** The forwards that the gateway's config lacks as static ones, at the same port of the Service. The container's port may differ: only the Service names it. */
export const missingForwards = (
  { forwards }: ChartGateway,
  { tunnels }: Pick<PlacedGateway, "tunnels">,
): readonly ChartForward[] =>
  forwards.filter(
    ({ targetHost, targetPort, servicePort }) =>
      !tunnels.some(({ portForwards }) =>
        portForwards.some(
          (item) =>
            item.targetHost === targetHost &&
            item.targetPort === targetPort &&
            (item.servicePort ?? item.port) === servicePort,
        ),
      ),
  );

/** The tunnels whose key, of this Secret, the gateway's config does not name. */
export const missingTunnels = (
  { tunnels }: ChartGateway,
  gateway: Pick<PlacedGateway, "tunnels">,
): readonly ChartTunnel[] =>
  tunnels.filter(
    ({ name, secretName, secretKey }) =>
      !gateway.tunnels.some(
        (item) => item.name === name && item.secretName === secretName && secretKeyOf(item) === secretKey,
      ),
  );
