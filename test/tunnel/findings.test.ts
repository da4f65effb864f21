// The log names each fault once, and never a key.
import t, { type Test } from "tap";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startGateway, type LabGateway } from "../lab/vpn/gateway.ts";
import { run, startOn } from "../lab/vpn/hosts.ts";
import { until } from "../wait.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { podAddress, startNetwork } from "../lab/vpn/network.ts";
import { startTarget, talk, untilHeard } from "../lab/vpn/traffic.ts";
import { documentedSecret, keyPair, startVpn } from "../lab/vpn/vpn.ts";

type Asserting = Pick<Test, "resolves">;
const count = async (gateway: LabGateway, text: string): Promise<number> =>
  (await gateway.log()).split(text).length - 1;
const saidOnce = async (t: Asserting, gateway: LabGateway, finding: string, text: string): Promise<void> => {
  const isSaid = async (): Promise<boolean> => (await count(gateway, text)) > 0;
  await t.resolves(until(finding, isSaid, 25_000), `${finding}: ${text}`);
};

void t.test("Secrets, peers, targets", async (t) => {
  const network = await startNetwork(t);
  const vpn = await startVpn(network, "vpn-a", "192.0.2.10", ["10.0.0.5"]);
  await startTarget(vpn.host, "10.0.0.5", 7000, "five");
  const tunnels = ["wg0", "absent", "base64", "incoming", "stranger", "utf16", "zip"];
  const gateway = startGateway(t, network, { tunnels });
  const good = documentedSecret(vpn);
  const stranger = keyPair();
  const secrets: Record<string, string | Buffer> = {
    wg0: good, // its DNS server is 1.1.1.1, outside AllowedIPs
    base64: `${Buffer.from(good).toString("base64")}\n`,
    incoming: good.replace(/^Endpoint.*\n/m, ""),
    stranger: documentedSecret(vpn, { privateKey: stranger.privateKey, address: "10.13.13.9/24" }),
    utf16: Buffer.from(`\uFEFF${good}`, "utf16le"),
    zip: Buffer.concat([Buffer.from("PK\u0003\u0004"), Buffer.from(good)]),
  };
  for (const [tunnel, secret] of Object.entries(secrets)) gateway.setSecret(tunnel, secret);
  gateway.setForwards(
    "7000 10.0.0.5 7000 wg0",
    "7001 192.168.7.5 7000 wg0",
    "7002 nowhere.example.com 7000 wg0",
    "7003 10.0.0.5 7000 wg0",
    "7004 10.13.13.2 7000 wg0",
    `7005 ${podAddress} 7000 wg0`,
  );
  startOn(network.pod, ["socat", "TCP4-LISTEN:7003,bind=" + podAddress, "OPEN:/dev/null"]);
  gateway.start("tunnel");
  gateway.start("forward");
  await untilHeard(network, 7000, "five");

  const findings: Record<string, string> = {
    "no handshake":
      "tunnel stranger: peer 1 does not answer at 192.0.2.10:51820 (192.0.2.10:51820): no handshake within 15 s",
    "a target outside AllowedIPs": "7001 refuses: 192.168.7.5 is outside the AllowedIPs of tunnel wg0",
    "the tunnel's own address": "7004 refuses: 10.13.13.2 is an address of the gateway itself",
    "the pod's own address": `7005 refuses: ${podAddress} is an address of the gateway itself`,
    "a DNS server outside AllowedIPs": "tunnel wg0: DNS server 1.1.1.1 is outside AllowedIPs",
    "a peer without an Endpoint": "tunnel incoming: peer 1 has no Endpoint",
    "a target that does not resolve": "nowhere.example.com: no address for the name from the resolver of the pod",
    "a Secret under another key":
      "tunnel absent: not up: the Secret wireguard-absent does not exist, has no key absent.conf, or that is empty",
    "UTF-16": "tunnel utf16: not up: the text is UTF-16",
    base64: "tunnel base64: not up: the text is base64",
    "a zip archive": "tunnel zip: not up: the text is a zip archive",
    "a listener that cannot start": "7003 is not served: its listener cannot start",
  };
  for (const [finding, text] of Object.entries(findings)) await saidOnce(t, gateway, finding, text);
  for (const port of [7001, 7002, 7004, 7005]) t.equal(talk(network, port).error, "ECONNREFUSED", `${port} refuses`);
  await sleep(4_000);
  for (const [finding, text] of Object.entries(findings)) t.equal(await count(gateway, text), 1, `${finding}: once`);
  const tries = await count(gateway, "Address already in use");
  t.ok(tries < 9, `the listener that cannot start was tried ${tries} times, in pauses that grow`);
  const log = await gateway.log();
  const keys = [vpn.clientKeys, vpn.keys, stranger].flatMap((pair) => [pair.privateKey, pair.publicKey]);
  for (const key of keys) t.notOk(log.includes(key.slice(0, 12)), "no key in the log");

  gateway.setSecret("stranger", undefined);
  gateway.setSecret("utf16", undefined);
  vpn.setClient(stranger.publicKey);
  gateway.setSecret("wg0", documentedSecret(vpn, { privateKey: stranger.privateKey }));
  gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 10.0.0.5 7000 wg0");
  await t.resolves(untilHeard(network, 7001, "five"), "what was wrong is mended: its port serves");
});

void t.test("missing parts of the node or the image", async (t) => {
  const network = await startNetwork(t);
  const vpn = await startVpn(network, "vpn-a", "192.0.2.10", []);
  const gateway = (tunnel: string, env: Record<string, string>): LabGateway => {
    const gateway = startGateway(t, network, { tunnels: [tunnel], env });
    gateway.setSecret(tunnel, documentedSecret(vpn));
    gateway.start("tunnel");
    return gateway;
  };
  const kernel = "the node has no WireGuard (Linux 5.6, or the module wireguard)";
  await saidOnce(
    t,
    gateway("kernel", { USERSPACE: "false" }),
    "no module",
    `tunnel kernel: not up: no interface can be made: ${kernel}`,
  );
  const device = "the pod has no /dev/net/none (userspace: true mounts it)";
  await saidOnce(t, gateway("device", { TUN_DEVICE: "/dev/net/none" }), "no device", `${kernel}, ${device}`);
  run(network.pod, "mount --bind /dev/null /usr/bin/wireguard-go");
  await saidOnce(t, gateway("image", {}), "no wireguard-go", `${kernel}, the image has no wireguard-go`);
  await saidOnce(
    t,
    gateway("go", { USERSPACE: "true" }),
    "only wireguard-go",
    "no interface can be made: the image has no wireguard-go",
  );
});

void t.test("a kernel that does not bind a device without NET_RAW", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "flowgen-old-kernel-"));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  chmodSync(folder, 0o755);
  const socat = join(folder, "socat");
  const refusal = "E setsockopt(5, SOL_SOCKET, SO_BINDTODEVICE, 25): Operation not permitted";
  writeFileSync(socat, `#!/bin/sh\necho '${refusal}' >&2\nexit 1\n`, { mode: 0o755 });
  writeFileSync(join(folder, "osrelease"), "5.4.0-150-generic\n");
  const { gateway } = await startLab(t, { env: { SOCAT: socat, RELEASE_FILE: join(folder, "osrelease") } });
  const hint =
    "7000 is not served: its listener cannot start, the reason is above; tried again and again; Linux 5.4 binds a device with NET_RAW only";
  await saidOnce(t, gateway, "kernel before 5.7", hint);
  await sleep(3_000);
  t.equal(await count(gateway, hint), 1, "once");
});
