// A VPN server with a private network behind it: the addresses of the private servers are its own.
import { generateKeyPairSync } from "node:crypto";
import { run, startOn, type Host, type Started } from "./hosts.ts";
import type { Network } from "./network.ts";
import { until } from "../../wait.ts";

export type WireGuardKeys = { readonly privateKey: string; readonly publicKey: string };
export type Vpn = {
  readonly host: Host;
  readonly endpoint: string;
  readonly keys: WireGuardKeys;
  readonly clientKeys: WireGuardKeys;
  readonly setClient: (publicKey: string, allowedIps?: string) => void;
  readonly setKeys: (keys: WireGuardKeys) => void;
  readonly stop: () => Promise<void>;
  readonly start: () => Promise<void>;
};

export const keyPair = (): WireGuardKeys => {
  const { privateKey } = generateKeyPairSync("x25519");
  const { d = "", x = "" } = privateKey.export({ format: "jwk" });
  return { privateKey: base64(d), publicKey: base64(x) };
};
// An interface wg0. (Not to be asked for by `wg` before it listens: `wg` takes its socket for a stale one and deletes
// it.)
export const startWireguard = async (host: Host): Promise<Started> => {
  const process = startOn(host, ["wireguard-go", "-f", "wg0"]);
  await until(
    () => `wg0 on ${host.name}: ${process.output()}`,
    () => run(host, "ss -xlH").includes("/wireguard/wg0.sock"),
  );
  return process;
};

const base64 = (url: string): string => Buffer.from(url, "base64url").toString("base64");

export const startVpn = async (
  network: Pick<Network, "addHost">,
  name: string,
  subnet: string,
  privateAddresses: readonly string[],
): Promise<Vpn> => {
  const host = await network.addHost(name, subnet);
  const clientKeys = keyPair();
  let keys = keyPair();
  let client = { publicKey: clientKeys.publicKey, allowedIps: "10.13.13.0/24,10.14.14.0/24,fd13::/64" };
  let server: Started | undefined;
  for (const address of privateAddresses) run(host, `ip addr add ${address} dev lo`);

  const configure = (): void => {
    const config = `[Interface]\nPrivateKey = ${keys.privateKey}\nListenPort = 51820\n[Peer]\nPublicKey = ${client.publicKey}\nAllowedIPs = ${client.allowedIps}\n`;
    run(host, "cat >/run/wg0.conf && wg syncconf wg0 /run/wg0.conf", { input: config });
  };
  const start = async (): Promise<void> => {
    server = await startWireguard(host);
    configure();
    run(
      host,
      "ip addr add 10.13.13.1/24 dev wg0; ip addr add 10.14.14.1/24 dev wg0; ip -6 addr add fd13::1/64 dev wg0 nodad; ip link set wg0 up",
    );
  };
  const stop = async (): Promise<void> => {
    server?.kill("SIGKILL");
    await server?.ended;
  };
  await start();
  return {
    host,
    endpoint: `${subnet}:51820`,
    get keys() {
      return keys;
    },
    clientKeys,
    setClient: (publicKey, allowedIps = client.allowedIps) => {
      client = { publicKey, allowedIps };
      configure();
    },
    setKeys: (pair) => {
      keys = pair;
      configure();
    },
    stop,
    start,
  };
};

// The Secret as flowgen's documentation writes it, mixed separators included.
export const documentedSecret = (
  vpn: Vpn,
  changes: Partial<
    Record<"address" | "dns" | "mtu" | "allowedIps" | "endpoint" | "privateKey" | "publicKey", string>
  > = {},
): string =>
  `[Interface]
PrivateKey: ${changes.privateKey ?? vpn.clientKeys.privateKey}
Address: ${changes.address ?? "10.13.13.2/24"}
DNS: ${changes.dns ?? "1.1.1.1"}
MTU = ${changes.mtu ?? "1420"}

[Peer]
PublicKey: ${changes.publicKey ?? vpn.keys.publicKey}
Endpoint: ${changes.endpoint ?? vpn.endpoint}
AllowedIPs: ${changes.allowedIps ?? "10.0.0.0/8, 172.16.0.0/12"}
PersistentKeepalive = 25
`;
