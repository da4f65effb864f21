// One VPN server, one gateway with the documented Secret, everything started: what most tests begin with.
import { startGateway, type GatewayPart, type Forwarder, type LabGateway } from "./gateway.ts";
import { startNetwork, type Network } from "./network.ts";
import type { ShellName } from "./shells.ts";
import { startTarget } from "./traffic.ts";
import { documentedSecret, startVpn, type Vpn } from "./vpn.ts";

export type Lab = { readonly network: Network; readonly vpn: Vpn; readonly gateway: LabGateway };
type Test = { readonly teardown: (handler: () => Promise<void>) => unknown };
type Options = {
  readonly shell?: ShellName;
  readonly forwarder?: Forwarder;
  readonly env?: Record<string, string>;
  readonly secret?: Parameters<typeof documentedSecret>[1];
  readonly privateAddresses?: readonly string[];
  readonly containers?: readonly GatewayPart[];
};

// The private server 10.0.0.5 greets with "five" on port 7000.
export const startLab = async (t: Test, options: Options = {}): Promise<Lab> => {
  const network = await startNetwork(t);
  const vpn = await startVpn(network, "vpn-a", "192.0.2.10", ["10.0.0.5", ...(options.privateAddresses ?? [])]);
  await startTarget(vpn.host, "10.0.0.5", 7000, "five");
  const gateway = startGateway(t, network, options);
  gateway.setSecret("wg0", documentedSecret(vpn, options.secret));
  gateway.setForwards("7000 10.0.0.5 7000 wg0");
  for (const container of options.containers ?? (["tunnel", "forward"] as const)) gateway.start(container);
  return { network, vpn, gateway };
};
