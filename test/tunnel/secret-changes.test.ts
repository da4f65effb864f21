// Secrets that are wrong, get corrected, change: without a restart of anything, and without a lost session.
import t from "tap";
import { run } from "../lab/vpn/hosts.ts";
import { forwarders, startGateway } from "../lab/vpn/gateway.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { startNetwork } from "../lab/vpn/network.ts";
import { startSession, startTarget, talk, untilHeard } from "../lab/vpn/traffic.ts";
import { documentedSecret, keyPair, startVpn } from "../lab/vpn/vpn.ts";
import { until } from "../wait.ts";

for (const forwarder of forwarders) {
  void t.test(`a bad tunnel among two, both with the same networks (${forwarder})`, async (t) => {
    const network = await startNetwork(t);
    const a = await startVpn(network, "vpn-a", "192.0.2.10", ["10.0.0.5"]);
    const b = await startVpn(network, "vpn-b", "192.0.3.10", ["10.0.0.5"]);
    await startTarget(a.host, "10.0.0.5", 7000, "five of a");
    await startTarget(b.host, "10.0.0.5", 7000, "five of b");
    const gateway = startGateway(t, network, { forwarder, tunnels: ["office-vpn", "wg0"] });
    const good = documentedSecret(a);
    gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 10.0.0.5 7000 office-vpn");
    gateway.setSecret("wg0", good);
    const bad: Record<string, string> = {
      "no PrivateKey": good.replace(/^PrivateKey.*/m, ""),
      "line 2: PrivateKey is not a WireGuard key": good.replace(/^(PrivateKey: .{20}).*/m, "$1"),
      "line 2: unknown key": good.replace("PrivateKey", "PrivteKey"),
      "line 2: not a section and not Key = value": good.replace("PrivateKey: ", ""),
      "line 4: unknown key": good.replace("DNS", "NDS"),
      "line 10: AllowedIPs is not a list of addresses": good.replace("10.0.0.0/8", "ten"),
      "vpn.invalid": good.replace("192.0.2.10", "vpn.invalid"),
      "no \\[Peer\\]": good.split("[Peer]")[0] ?? "",
      "299\\.0\\.0\\.0": good.replace("10.0.0.0/8", "299.0.0.0/8"),
    };
    gateway.setSecret("office-vpn", "");
    gateway.start("tunnel");
    gateway.start("forward");
    const first = await untilHeard(network, 7000, "five of a");
    t.comment(`good tunnel beside an empty Secret: first answer after ${first} ms`);
    await gateway.inForce(7000);

    for (const [reason, secret] of Object.entries(bad)) {
      gateway.setSecret("office-vpn", secret);
      await until(`${reason} in the log`, async () => (await gateway.log()).match(`office-vpn: .*${reason}`) !== null);
      t.equal(talk(network, 7000).text, "five of a\n", `${reason}: named, the good one carries on`);
    }
    const refused = talk(network, 7001);
    t.equal(refused.error, "ECONNREFUSED", `the bad one's port refuses after ${refused.endedMs ?? 0} ms`);
    t.ok(gateway.isReady(), "ready: without an endpoint the good one's clients would be refused too");
    t.ok(gateway.isAlive("tunnel"), "live: a restart would not heal it");

    gateway.setSecret("office-vpn", documentedSecret(b));
    t.comment(`corrected: heals after ${await untilHeard(network, 7001, "five of b")} ms`);
    await gateway.inForce(7001);
    t.equal(talk(network, 7001).text, "five of b\n");
    t.equal(
      talk(network, 7000).text,
      "five of a\n",
      "two tunnels with the same networks and address, each reaches its own",
    );
    await until("ready", () => gateway.isReady());
    const log = await gateway.log();
    for (const key of [a.clientKeys.privateKey, b.clientKeys.privateKey]) {
      t.notOk(log.includes(key.slice(0, 12)), "no key in the log");
    }
  });

  void t.test(`a changed Secret is taken over live (${forwarder})`, async (t) => {
    const { network, vpn, gateway } = await startLab(t, { forwarder, privateAddresses: ["10.9.0.5", "172.20.0.5"] });
    await startTarget(vpn.host, "172.20.0.5", 7000, "far");
    gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 172.20.0.5 7000 wg0");
    await untilHeard(network, 7000, "five");
    await gateway.inForce(7001);
    const index = (): string => run(network.pod, "cat /sys/class/net/wg0/ifindex");
    const before = index();
    const session = await startSession(network, 7000, { say: "still here", afterMs: 12_000, forMs: 16_000 });

    gateway.setSecret("wg0", documentedSecret(vpn, { allowedIps: "10.0.0.0/24" }));
    await until("the route goes", () => run(network.pod, "ip route show table all").includes("10.0.0.0/24 dev wg0"));
    t.equal(talk(network, 7001, { forMs: 1_500 }).text, "", "AllowedIPs narrowed: the other target is cut off");
    gateway.setSecret("wg0", documentedSecret(vpn, { allowedIps: "10.0.0.0/8, 172.20.0.5/32", mtu: "1300" }));
    t.comment(`AllowedIPs widened: ${await untilHeard(network, 7001, "far")} ms`);
    t.match(run(network.pod, "ip link show wg0"), "mtu 1300", "MTU changed");

    gateway.setSecret(
      "wg0",
      documentedSecret(vpn, { address: "10.13.13.3/24" }).replace("10.13.13.3/24", "10.13.13.3/24, 10.13.13.2/24"),
    );
    await until("the second address", () => run(network.pod, "ip addr show wg0").includes("10.13.13.3"));
    gateway.setSecret("wg0", documentedSecret(vpn).replace("PrivateKey", "PrivteKey"));
    await until("refused", async () => (await gateway.log()).includes("new version refused, the old one stays"));
    t.equal(talk(network, 7000).text, "five\n", "a bad new version is refused, the old one stays");

    const [serverKeys, clientKeys] = [keyPair(), keyPair()];
    vpn.setKeys(serverKeys);
    vpn.setClient(clientKeys.publicKey);
    const rotated = {
      privateKey: clientKeys.privateKey,
      publicKey: serverKeys.publicKey,
      endpoint: "vpn.example.com:51820",
    };
    gateway.setSecret("wg0", documentedSecret(vpn, rotated));
    t.comment(`keys rotated on both sides, endpoint by name: ${await untilHeard(network, 7000, "five")} ms`);
    t.equal((await session.heard).text, "five\nstill here", "one session has lived through all of it");
    t.equal(index(), before, "on the same interface");

    const lost = await startSession(network, 7000, { say: "anybody?", afterMs: 3_000, forMs: 5_000 });
    gateway.setSecret("wg0", documentedSecret(vpn, { ...rotated, address: "10.13.13.3/24" }));
    await until("the new address", () => !run(network.pod, "ip addr show wg0").includes("10.13.13.2"));
    await untilHeard(network, 7000, "five");
    t.equal((await lost.heard).text, "five\n", "the address changes: new connections take it, sessions are lost");
  });
}
