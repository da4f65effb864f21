import { FIRST_LISTEN_PORT } from "../forwards/ports.ts";
import type { GatewayRef } from "../config/choose.ts";
import type { ChartForward, ChartGateway } from "./chart.ts";

/** The entry of the config's `gateways` under which the webhook serves what the chart's gateway serves. */
export const configOfChart = ({ name, namespace }: GatewayRef, { tunnels, forwards }: ChartGateway): object => ({
  name,
  namespace,
  tunnels: tunnels.map((tunnel, index) => ({
    name: tunnel.name,
    secretName: tunnel.secretName,
    ...(tunnel.secretKey !== `${tunnel.name}.conf` && { secretKey: tunnel.secretKey }),
    // The chart's Deployment does not say which tunnel is whose: the routes decide there.
    ...(index === 0 && forwards.length > 0 && { portForwards: forwards.map(portForwardOf) }),
  })),
});

/** The chart's container is root, and may listen below 1024. */
const portForwardOf = ({ name, port, targetHost, targetPort, servicePort }: ChartForward): object => {
  const listen = port < FIRST_LISTEN_PORT ? port + PRIVILEGED_TO : port;
  return { name, port: listen, targetHost, targetPort, ...(servicePort !== listen && { servicePort }) };
};
const PRIVILEGED_TO = 20_000;
