// AllowedIPs of every kind while the pod, the clients and the cluster's DNS are inside of them.
import t from "tap";
import { forwarders } from "../lab/vpn/gateway.ts";
import { run } from "../lab/vpn/hosts.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { leaks, podAddress6 } from "../lab/vpn/network.ts";
import { startTarget, talk, untilHeard } from "../lab/vpn/traffic.ts";
import { until } from "../wait.ts";

const kinds = {
  everything: { address: "10.13.13.2/8", allowedIps: "0.0.0.0/0, ::/0" }, // an Address with a prefix that covers the pod
  "IPv4 and IPv6": { address: "10.13.13.2/24, fd13::2/64", allowedIps: "10.0.0.0/8, fd00::/8" },
  "IPv6 inside, server by IPv6": {
    address: "fd13::2/64",
    allowedIps: "fd00::/8",
    endpoint: "[fd00:192:0:2::10]:51820",
  },
} as const;

const each = forwarders.flatMap((forwarder) =>
  Object.entries(kinds).map(([kind, secret]) => ({ forwarder, kind, secret })),
);
for (const { forwarder, kind, secret } of each) {
  void t.test(`${kind} (${forwarder})`, async (t) => {
    const { network, vpn, gateway } = await startLab(t, { forwarder, secret, privateAddresses: ["fd00:a::5"] });
    await startTarget(vpn.host, "fd00:a::5", 7000, "five6");
    const routes = run(network.pod, "ip route show table main; ip -6 route show table main | grep -v wg0");
    gateway.setForwards("7000 10.0.0.5 7000 wg0", "7006 fd00:a::5 7000 wg0");
    if (secret.address.includes("10.13")) await untilHeard(network, 7000, "five");
    if (secret.address.includes("fd13")) await untilHeard(network, 7006, "five6");
    const port = secret.address.includes("fd13") ? 7006 : 7000;
    await gateway.inForce(port);
    if (port === 7006) t.equal(talk(network, 7006, { host: podAddress6 }).text, "five6\n");
    else t.equal(talk(network, 7000).text, "five\n");
    await until("a client that comes by IPv6 is answered too", () =>
      talk(network, port, { host: podAddress6 }).text.includes("five"),
    );
    t.match(
      run(network.pod, "busybox nslookup kubernetes.default.svc.cluster.local"),
      "10.96.0.1",
      "cluster DNS works",
    );
    t.equal(
      run(network.pod, "ip route show table main; ip -6 route show table main | grep -v wg0"),
      routes,
      "the main routing tables are as they were",
    );
    t.equal(leaks(network), 0, "nothing else left by the pod's own network");
  });
}

for (const reversePathFilter of [0, 1]) {
  void t.test(`rp_filter ${reversePathFilter}`, async (t) => {
    const { network } = await startLab(t, { containers: [] }).then((lab) => {
      run(
        lab.network.pod,
        `sysctl -qw net.ipv4.conf.all.rp_filter=${reversePathFilter} net.ipv4.conf.default.rp_filter=${reversePathFilter}`,
      );
      lab.gateway.start("tunnel");
      lab.gateway.start("forward");
      return lab;
    });
    t.ok(await untilHeard(network, 7000, "five"), "answers");
  });
}

for (const forwarder of forwarders) {
  void t.test(`hosts at the tunnel's other end do not reach the listeners (${forwarder})`, async (t) => {
    const { network, vpn, gateway } = await startLab(t, { forwarder });
    await untilHeard(network, 7000, "five");
    await gateway.inForce(7000);
    const connect = "socat -u OPEN:/dev/null TCP4:10.13.13.2:7000,connect-timeout=1 2>&1 && echo connected || true";
    t.notMatch(run(vpn.host, connect), "connected");
    t.ok(gateway.isAlive("tunnel"));
  });
}

for (const forwarder of forwarders) {
  void t.test(`a cluster with IPv6 alone, and targets with IPv4 (${forwarder})`, async (t) => {
    const secret = { allowedIps: "10.0.0.0/8", endpoint: "[fd00:192:0:2::10]:51820" };
    const { network, gateway } = await startLab(t, { forwarder, secret, containers: [] });
    for (const host of [network.pod, network.client]) run(host, "ip -4 addr flush dev eth0");
    gateway.start("tunnel");
    gateway.start("forward");
    await until("an answer", () => talk(network, 7000, { host: podAddress6 }).text === "five\n");
    t.equal(leaks(network), 0, "nothing else left by the pod's own network");
    t.equal(run(network.pod, "ip -4 addr show dev eth0"), "", "the pod has no IPv4 address of the cluster");
  });
}
