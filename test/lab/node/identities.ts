// Two gateways to the same private server, side by side: one of two identities, and one of a single identity. The VPN server knows
// an address for each identity.
import type { Test } from "tap";
import { kubectl as run } from "../control-plane/webhook.ts";
import type { ControlPlane } from "../control-plane/control-plane.ts";
import type { Options } from "../control-plane/control-plane.ts";
import { run as runOn } from "../vpn/hosts.ts";
import type { Visits } from "../vpn/visits.ts";
import { documentedSecret, keyPair, type WireGuardKeys, type Vpn } from "../vpn/vpn.ts";
import { eventually } from "../../wait.ts";
import { type Client, clientDeployment, linesOf } from "./clients.ts";
import { NODE_GATEWAY, isPodReady, type PodFacts, podsOf, tunnelSecret, type Where } from "./gateway.ts";
import { installChart, type NodeInstallation } from "./installation.ts";
import { type Node, startNode } from "./node.ts";
import { startOnPrem } from "./on-prem.ts";
import { visitPostgres } from "./visitors.ts";

export const PAIR: Where = { namespace: NODE_GATEWAY.namespace, name: "pair" };
export const SINGLE: Where = { namespace: NODE_GATEWAY.namespace, name: "single" };
const SERVER = "10.0.0.5";
const ADDRESSES = { "wireguard-a": "10.13.13.2", "wireguard-b": "10.13.13.3", "wireguard-c": "10.13.13.4" };
export type SecretOfIdentity = keyof typeof ADDRESSES;

/** Flowgen pods of each gateway, which hold a session and make new ones all the time. */
export const CLIENTS = {
  pair: { namespace: "team-a", name: "pair-client" },
  single: { namespace: "team-a", name: "single-client" },
} as const satisfies Readonly<Record<string, Client>>;

/** The results of the visitors of both gateways in the same time. */
export type Met = { readonly pair: Visits; readonly single: Visits };

export type IdentitiesLab = {
  readonly node: Node;
  readonly vpn: Vpn;
  readonly kubectl: (args: readonly string[], input?: string) => Promise<string>;
  readonly installation: NodeInstallation;
  /** Whether the last key of an identity is in use. */
  readonly hasHandshake: (identity: SecretOfIdentity) => boolean;
  /** From now on the VPN server does not hear an identity, and does not answer it. */
  readonly silence: (identity: SecretOfIdentity) => void;
  /** The server knows a further key of an identity, and its Secret gets that key. */
  readonly rotate: (identity: SecretOfIdentity, address: string) => Promise<void>;
  /** Lets visitors come to both gateways, by the addresses of their Services, while `work` runs. */
  readonly visitBoth: (work: () => Promise<void>) => Promise<Met>;
  /** The pods of both gateways, once each identity has one that is ready and none ends. */
  readonly settled: (identities: number) => Promise<{ readonly pair: readonly PodFacts[]; readonly single: PodFacts }>;
};

/** `changes`: of both gateways. */
export const pairConfig = (secretNames: readonly SecretOfIdentity[], changes: object): object => {
  const tunnel = { name: "wg0", allowedTargets: ["10.0.0.0/24"] };
  const gateway = { userspace: true, ...changes }; // the node's kernel has no WireGuard
  return {
    defaultGateway: PAIR.name,
    gateways: [
      { ...PAIR, ...gateway, tunnels: [{ ...tunnel, secretNames }] },
      { ...SINGLE, ...gateway, tunnels: [{ ...tunnel, secretName: "wireguard-c" satisfies SecretOfIdentity }] },
    ],
  };
};

/** A node, and the two gateways on it, each with one identity as yet; their clients have had a row. */
export const startIdentities = async (
  t: Test,
  changes: object,
  flags: Options["flags"] = {},
): Promise<IdentitiesLab> => {
  const vpn = await startOnPrem(t, "172.30.0.10", [SERVER]);
  const node = await startNode({ "vpn.example.com": "172.30.0.10" }, flags);
  t.teardown(node.stop);
  const { controlPlane } = node;
  const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
  const apply = (manifest: string): Promise<string> => kubectl(["apply", "-f", "-"], manifest);
  await kubectl(["create", "namespace", CLIENTS.pair.namespace]);
  const installation = await installChart(controlPlane, pairConfig(["wireguard-a"], changes), []);

  const keys = new Map<SecretOfIdentity, WireGuardKeys>();
  const give = async (identity: SecretOfIdentity, address: string): Promise<void> => {
    const pair = keyPair();
    keys.set(identity, pair);
    runOn(vpn.host, `wg set wg0 peer ${pair.publicKey} allowed-ips ${address}/32`);
    const { privateKey } = pair;
    const secret = { endpoint: "vpn.example.com:51820", address: `${address}/24`, privateKey };
    await apply(tunnelSecret(identity, documentedSecret(vpn, secret)));
  };
  const shown = (what: string, identity: SecretOfIdentity): string => {
    const key = keys.get(identity)?.publicKey ?? "";
    const lines = runOn(vpn.host, `wg show wg0 ${what}`).split("\n");
    return lines.find((line) => line.startsWith(key))?.split("\t")[1] ?? "";
  };
  for (const [identity, address] of Object.entries(ADDRESSES)) await give(identity as SecretOfIdentity, address);
  for (const [client, { name }] of [
    [CLIENTS.pair, PAIR],
    [CLIENTS.single, SINGLE],
  ] as const)
    await apply(clientDeployment({ ...client, target: SERVER, annotations: { "flowgen.io/gateway": name } }));
  for (const client of Object.values(CLIENTS))
    await eventually(`a row of ${client.name}`, 60_000, async () =>
      (await linesOf(client)).find(({ kind }) => kind === "row"),
    );
  const [pairAddress, singleAddress] = [await addressOf(controlPlane, PAIR), await addressOf(controlPlane, SINGLE)];
  return {
    ...{ node, vpn, kubectl, installation },
    rotate: give,
    hasHandshake: (identity) => Number(shown("latest-handshakes", identity)) > 0,
    silence: (identity) => {
      const [address = "", port = ""] = shown("endpoints", identity).split(":");
      runOn(vpn.host, `iptables -I INPUT -s ${address} -p udp --sport ${port} -j DROP`);
      runOn(vpn.host, `iptables -I OUTPUT -d ${address} -p udp --dport ${port} -j DROP`);
    },
    visitBoth: async (work) => {
      const visitors = { pair: visitPostgres(pairAddress, EVERY_MS), single: visitPostgres(singleAddress, EVERY_MS) };
      await work();
      const [pair, single] = await Promise.all([visitors.pair.stop(), visitors.single.stop()]);
      return { pair, single };
    },
    settled: (identities) =>
      eventually("each identity has a pod that is ready", 120_000, async () => {
        const [pair, single] = await Promise.all([podsOf(controlPlane, PAIR), podsOf(controlPlane, SINGLE)]);
        const isWhole = pair.length === identities && [...pair, ...single].every(isServing);
        const [only, ...more] = single;
        return isWhole && only !== undefined && more.length === 0 ? { pair, single: only } : undefined;
      }),
  };
};
const EVERY_MS = 40;

const isServing = (pod: PodFacts): boolean => isPodReady(pod) && pod.metadata.deletionTimestamp === undefined;

/** Of the gateway's Service. */
export const addressOf = (controlPlane: ControlPlane, { namespace, name }: Where): Promise<string> =>
  run(controlPlane, ["get", "service", name, `--namespace=${namespace}`, "-o", "jsonpath={.spec.clusterIP}"]);

/** As `3 refused and 2 lost of 400, within 1.2 s`. */
export const tellVisits = ({ count, lost }: Visits): string => {
  const refused = lost.filter(({ why }) => why === "ECONNREFUSED").length;
  const times = lost.map(({ at }) => at);
  const within = lost.length > 1 ? `, within ${((Math.max(...times) - Math.min(...times)) / 1000).toFixed(1)} s` : "";
  return `${refused} refused and ${lost.length - refused} lost of ${count}${within}`;
};
