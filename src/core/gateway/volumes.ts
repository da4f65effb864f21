/** The volumes of the gateway's pod, and where its containers mount them. */
import type { PlacedGateway } from "../config/config.ts";
import { secretKeyOf } from "../config/identity.ts";

/** Where the gateway's scripts look for things (src/gateway). */
const DIRECTORY = "/etc/flowgen-gateway";
/** The ConfigMap's scripts, which the init container copies; the containers run the copy (init.sh says why). */
export const SCRIPTS_MOUNT = `${DIRECTORY}/scripts`;
/** The copy, which all containers run. */
export const SCRIPTS_COPY = "/run/flowgen-scripts";

/** One mount of a container. */
export const volumeMount = (name: string, mountPath: string, readOnly = true): unknown => ({
  name,
  mountPath,
  ...(readOnly && { readOnly }),
});
/** The copy of the scripts. */
export const copyMount = (readOnly: boolean): unknown => volumeMount("scripts-copy", SCRIPTS_COPY, readOnly);
/** Files of the scripts of one container. */
export const runMount = volumeMount("run", "/run/flowgen-gateway", false);
/** wireguard-go's sockets, also where the root is read-only. */
export const socketsMount = volumeMount("wireguard", "/run/wireguard", false);
/** Kernel WireGuard needs no device, and some clusters refuse a pod that mounts one. */
export const tunMounts = (gateway: PlacedGateway): readonly unknown[] =>
  gateway.userspace === true ? [volumeMount("tun", "/dev/net/tun", false)] : [];
/** The forward table, as the scripts read it. */
export const tableMount = volumeMount("table", `${DIRECTORY}/table`);
/** Files by which the two containers share the state of the tunnels. */
export const upMount = (readOnly: boolean): unknown => volumeMount("up", "/run/flowgen-tunnels", readOnly);

/** A Secret is mounted as a directory, one a tunnel: a subPath would never see a changed key. */
export const tunnelMounts = (gateway: PlacedGateway): readonly unknown[] =>
  gateway.tunnels.map((tunnel, index) => volumeMount(`tunnel-${index}`, `${DIRECTORY}/tunnels/${tunnel.name}`));

/** A missing Secret stops its own tunnel only, so it is optional; keys never touch a disk. */
export const gatewayVolumes = (gateway: PlacedGateway, table: string, scripts: string): readonly unknown[] => [
  { name: "scripts", configMap: { name: scripts } },
  { name: "scripts-copy", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  {
    name: "table",
    // A gateway of one identity has no list of siblings.
    configMap: { name: table, optional: true, items: ["forwards", "siblings"].map((key) => ({ key, path: key })) },
  },
  ...gateway.tunnels.map((tunnel, index) => ({
    name: `tunnel-${index}`,
    secret: {
      secretName: tunnel.secretName,
      optional: true,
      defaultMode: 0o400,
      items: [{ key: secretKeyOf(tunnel), path: `${tunnel.name}.conf` }],
    },
  })),
  { name: "run", emptyDir: { medium: "Memory", sizeLimit: "8Mi" } },
  { name: "up", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  { name: "tmp", emptyDir: { medium: "Memory", sizeLimit: "8Mi" } },
  { name: "wireguard", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  ...(gateway.userspace === true ? [{ name: "tun", hostPath: { path: "/dev/net/tun", type: "CharDevice" } }] : []),
];
