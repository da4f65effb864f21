// The Secret as flowgen's documentation writes it brings its tunnel up, although its AllowedIPs cover the pod's own
// network, the clients' and the cluster's DNS.
import t from "tap";
import { startGateway, variants } from "../lab/vpn/gateway.ts";
import { run } from "../lab/vpn/hosts.ts";
import { leaks, startNetwork } from "../lab/vpn/network.ts";
import { startTarget, talk, untilHeard } from "../lab/vpn/traffic.ts";
import { documentedSecret, startVpn } from "../lab/vpn/vpn.ts";

for (const { shell, forwarder } of variants) {
  void t.test(`the documented Secret (${shell}, ${forwarder})`, async (t) => {
    const network = await startNetwork(t);
    const vpn = await startVpn(network, "vpn-a", "192.0.2.10", ["10.0.0.5"]);
    await startTarget(vpn.host, "10.0.0.5", 1433, "mssql");
    const gateway = startGateway(t, network, { shell, forwarder });
    const routes = run(network.pod, "ip route show table main");
    gateway.setSecret("wg0", documentedSecret(vpn, { endpoint: "vpn.example.com:51820" }));
    gateway.setForwards("1433 10.0.0.5 1433 wg0");
    gateway.start("tunnel");
    gateway.start("forward");

    const firstAnswer = await untilHeard(network, 1433, "mssql");
    t.comment(`first answer after ${firstAnswer} ms`);
    await gateway.inForce(1433);
    t.ok(gateway.isReady(), "ready");
    t.ok(gateway.isAlive("tunnel") && gateway.isAlive("forward"), "live");
    t.equal(talk(network, 1433).text, "mssql\n", "a client on another subnet of 10.0.0.0/8 is answered");
    t.match(
      run(network.pod, "busybox nslookup kubernetes.default.svc.cluster.local"),
      "10.96.0.1",
      "cluster DNS works",
    );
    t.equal(run(network.pod, "ip route show table main"), routes, "the main routing table is as it was");
    t.match(run(network.pod, "ip link show wg0"), "mtu 1420", "its MTU is set");
    t.notOk((await gateway.log()).includes(vpn.clientKeys.privateKey), "no key in the log");
    t.equal(leaks(network), 0, "nothing else left by the pod's own network");
  });
}
