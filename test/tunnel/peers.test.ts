// Endpoints by name, and tunnels with several peers.
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { startGateway, variants } from "../lab/vpn/gateway.ts";
import { run } from "../lab/vpn/hosts.ts";
import { until } from "../wait.ts";
import { startDns, startNetwork } from "../lab/vpn/network.ts";
import { startSession, startTarget, talk, untilHeard } from "../lab/vpn/traffic.ts";
import { documentedSecret, keyPair, startVpn } from "../lab/vpn/vpn.ts";

for (const { shell, forwarder } of variants.filter((variant) => variant.forwarder === "socat")) {
  void t.test(`a VPN server that moves (${shell}, ${forwarder})`, async (t) => {
    const network = await startNetwork(t);
    const a = await startVpn(network, "vpn-a", "192.0.2.10", ["10.0.0.5"]);
    const b = await startVpn(network, "vpn-b", "192.0.3.10", ["10.0.0.5"]);
    b.setKeys(a.keys);
    b.setClient(a.clientKeys.publicKey);
    await startTarget(a.host, "10.0.0.5", 7000, "five of a");
    await startTarget(b.host, "10.0.0.5", 7000, "five of b");
    const gateway = startGateway(t, network, { shell, forwarder });
    // As a cluster's resolver does where a search domain has a wildcard.
    run(network.pod, "umount /etc/resolv.conf");
    const resolv = `nameserver 10.96.0.11\\nsearch wild.example\\noptions ndots:5\\n`;
    run(network.pod, `printf '${resolv}' >/run/resolv.conf && mount --bind /run/resolv.conf /etc/resolv.conf`);
    const dnsAt = (address: string) =>
      startDns(network.node, "10.96.0.11", { "moving.example.org": address }, ["--address=/wild.example/203.0.113.9"]);
    run(network.node, "ip addr add 10.96.0.11/32 dev lo; iptables -t mangle -I LEAK -d 10.96.0.11 -j RETURN");
    const dns = dnsAt("192.0.2.10");
    gateway.setSecret("wg0", documentedSecret(a, { endpoint: "moving.example.org:51820" }));
    gateway.setForwards("7000 10.0.0.5 7000 wg0");
    gateway.start("tunnel");
    gateway.start("forward");
    const first = await untilHeard(network, 7000, "five of a");
    t.ok(first < 4_000, `by name, past a wildcard search domain: first answer after ${first} ms`);

    dns.kill("SIGKILL");
    await dns.ended;
    await a.stop();
    dnsAt("192.0.3.10");
    const moved = await untilHeard(network, 7000, "five of b", 60_000);
    t.ok(moved < 40_000, `the server moves: followed after ${moved} ms`);
    t.match(await gateway.log(), /peer 1: its endpoint moving\.example\.org is 192\.0\.3\.10 now/);
  });
}

void t.test("several peers", async (t) => {
  const network = await startNetwork(t);
  const a = await startVpn(network, "vpn-a", "192.0.2.10", ["10.0.0.5"]);
  const b = await startVpn(network, "vpn-b", "192.0.3.10", ["10.9.0.5"]);
  b.setClient(a.clientKeys.publicKey);
  await startTarget(a.host, "10.0.0.5", 7000, "five of a");
  await startTarget(b.host, "10.9.0.5", 7000, "five of b");
  const gateway = startGateway(t, network, {
    tunnels: ["wg0", "wg1"],
    env: { ANSWER_WITHIN: "3" },
  });
  const peer = (vpn: typeof b, endpoint: string, allowedIps: string): string =>
    `[Peer]\nPublicKey = ${vpn.keys.publicKey}\nEndpoint = ${endpoint}\nAllowedIPs = ${allowedIps}\nPersistentKeepalive = 25\n`;
  const secret = `[Interface]\nPrivateKey = ${a.clientKeys.privateKey}\nAddress = 10.13.13.2/32\nListenPort = 51820\nDNS =\nMTU =\n`;
  gateway.setSecret(
    "wg0",
    secret + peer(a, "192.0.2.10:51820", "10.0.0.0/24") + peer(b, "nowhere.example.com:51820", "10.9.0.0/24"),
  );
  gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 10.9.0.5 7000 wg0");
  gateway.start("tunnel");
  gateway.start("forward");
  const first = await untilHeard(network, 7000, "five of a");
  t.ok(first < 4_000, `one endpoint does not resolve, the other peer serves after ${first} ms`);
  await until("said", async () =>
    (await gateway.log()).includes("peer 2: its endpoint's name nowhere.example.com has no address"),
  );
  await until("the dead peer is said", async () =>
    (await gateway.log()).includes("peer 2 does not answer at nowhere.example.com:51820 (no address known)"),
  );

  const silent = "peer 2 does not answer at 192.0.3.10:51820 (192.0.3.10:51820): no handshake within 3 s";
  const stranger = { ...b, keys: keyPair() };
  gateway.setSecret(
    "wg0",
    secret + peer(a, "192.0.2.10:51820", "10.0.0.0/24") + peer(stranger, "192.0.3.10:51820", "10.9.0.0/24"),
  );
  await until("a peer that does not know us is said", async () => (await gateway.log()).includes(silent));
  await sleep(6_000);
  t.equal((await gateway.log()).split(silent).length, 2, "once");
  t.notMatch(await gateway.log(), "peer 1 does not answer");
  t.equal(talk(network, 7000).text, "five of a\n", "the other peer of the tunnel serves");

  const session = await startSession(network, 7000, { say: "still here", afterMs: 4_000, forMs: 6_000 });
  gateway.setSecret(
    "wg0",
    secret + peer(a, "192.0.2.10:51820", "10.0.0.0/24") + peer(b, "192.0.3.10:51820", "10.9.0.0/24"),
  );
  await untilHeard(network, 7001, "five of b");
  t.equal((await session.heard).text, "five of a\nstill here", "corrected: the other peer's session goes on");

  // A second tunnel of this pod with the same ListenPort.
  const other = await startVpn(network, "vpn-c", "192.0.4.10", ["10.0.0.5"]);
  await startTarget(other.host, "10.0.0.5", 7000, "five of c");
  gateway.setSecret("wg1", documentedSecret(other).replace("[Peer]", "ListenPort = 51820\n[Peer]"));
  gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 10.9.0.5 7000 wg0", "7002 10.0.0.5 7000 wg1");
  await t.resolves(untilHeard(network, 7002, "five of c"), "two Secrets with ListenPort 51820: both tunnels are up");
});

void t.test("a keepalive of 300 s is 120 s; the MTU follows that of eth0, up to 1420", async (t) => {
  const network = await startNetwork(t);
  const vpn = await startVpn(network, "vpn-a", "192.0.2.10", ["10.0.0.5"]);
  const gateway = startGateway(t, network, {
    tunnels: ["wg0", "wg1"],
    env: { TUNNELS: "wg0 a wg0.conf\nwg1 b wg1.conf 1300" },
  });
  run(network.node, "ip link set pod mtu 9001");
  run(network.pod, "ip link set eth0 mtu 9001");
  const secret = documentedSecret(vpn)
    .replace(/^MTU.*\n/m, "")
    .replace("Keepalive = 25", "Keepalive = 300");
  gateway.setSecret("wg0", secret);
  gateway.setSecret("wg1", documentedSecret(vpn)); // MTU = 1420
  gateway.start("tunnel");
  await until("both", () => run(network.pod, "ip -o link show up").match(/wg[01]/g)?.length === 2);
  await sleep(500);
  t.match(run(network.pod, "wg show wg0 persistent-keepalive"), /\t120$/m);
  t.match(run(network.pod, "ip link show wg0"), "mtu 1420 ");
  t.match(run(network.pod, "ip link show wg1"), "mtu 1300 ", "the gateway's config comes before the Secret");
  t.match(await gateway.log(), "PersistentKeepalive of peer 1 is 300, longer than 120 s: 120 is taken");

  run(network.pod, "ip link set eth0 mtu 1400");
  gateway.setSecret("wg0", `${secret}\n# changed\n`);
  const isSmaller = (): boolean => run(network.pod, "ip link show wg0").includes("mtu 1320 ");
  await t.resolves(until("a smaller MTU", isSmaller), "a smaller eth0 leaves its own MTU less 80");
});
