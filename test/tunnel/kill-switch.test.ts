// A forward leaves by its tunnel or not at all. The node counts the packets that leave the pod's own interface.
import t from "tap";
import { forwarders } from "../lab/vpn/gateway.ts";
import { tryRun, run, type Host } from "../lab/vpn/hosts.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { leaks, podAddress, startDns } from "../lab/vpn/network.ts";
import { talk, untilHeard } from "../lab/vpn/traffic.ts";
import { documentedSecret } from "../lab/vpn/vpn.ts";
import { until } from "../wait.ts";

const keepDown = "while :; do ip link set wg0 down; done";
const keepGone = "while :; do ip link del wg0; done";

void t.test("the counter sees a packet that is not bound to the tunnel", async (t) => {
  const { network } = await startLab(t, { containers: [] });
  tryRun(network.pod, "socat -u OPEN:/dev/null TCP4:10.0.0.5:7000,connect-timeout=0.5");
  tryRun(network.pod, "socat -u OPEN:/dev/null TCP6:[fd00:a::5]:7000,connect-timeout=0.5");
  t.ok(leaks(network) >= 2, `${leaks(network)} packets seen`);
});

for (const forwarder of forwarders) {
  void t.test(`nothing leaves by the pod's own network (${forwarder})`, async (t) => {
    const { network, vpn, gateway } = await startLab(t, {
      forwarder,
      secret: { dns: "10.0.0.53", allowedIps: "10.0.0.0/16, 10.96.0.0/16" },
      privateAddresses: ["10.0.0.53"],
    });
    startDns(vpn.host, "10.0.0.53", { "sql.corp.example.com": "10.0.0.5" });
    gateway.setForwards(
      "7000 10.0.0.5 7000 wg0",
      "7001 172.31.0.5 7000 wg0", // outside AllowedIPs
      "7002 fd00:a::5 7000 wg0", // no IPv6 in this tunnel
      "7003 10.0.0.5 7000 wg9", // no such tunnel
      "7004 sql.corp.example.com 7000 wg0",
      "7005 127.0.0.1 7005 wg0", // the pod itself
      `7006 ${podAddress} 7000 wg0`,
    );
    await untilHeard(network, 7000, "five");
    await untilHeard(network, 7004, "five");
    await gateway.inForce(7000);

    const poke = async (ports: readonly number[], host: Host): Promise<void> => {
      for (const port of ports) {
        tryRun(host, `socat -T 0.2 - TCP4:${podAddress}:${port},connect-timeout=1 </dev/null`);
        await Promise.resolve();
      }
    };
    await poke([7001, 7002, 7003, 7005, 7006], network.client);
    t.equal(leaks(network), 0, "target outside AllowedIPs, of another family, of an unknown tunnel, the pod itself");

    for (const [what, script] of [
      ["interface down", keepDown],
      ["interface gone", keepGone],
    ] as const) {
      const saboteur = run(network.pod, `(${script}) >/dev/null 2>&1 & echo $!`).trim();
      for (let round = 0; round < 5; round++) await poke([7000, 7001, 7004], network.client);
      tryRun(network.pod, "timeout 3 busybox nslookup sql.corp.example.com. 10.0.0.53");
      const heard = talk(network, 7000, { forMs: 1_000 });
      run(network.pod, `kill ${saboteur}`);
      t.equal(heard.text, "", `${what}: the client gets nothing`);
      t.equal(leaks(network), 0, `${what}: no packet`);
      const back = await untilHeard(network, 7000, "five");
      await gateway.inForce(7000);
      t.ok(back < 4_000, `${what}: back ${back} ms after it ended`);
    }

    gateway.setSecret("wg0", undefined);
    await until("the interface is taken down", () => !run(network.pod, "ip link").includes("wg0"));
    await poke([7000, 7001, 7004], network.client);
    t.equal(leaks(network), 0, "Secret deleted: no packet");
    gateway.setSecret("wg0", documentedSecret(vpn));
    await untilHeard(network, 7000, "five");
    await gateway.inForce(7000);
    await gateway.stop("tunnel", "SIGKILL");
    await poke([7000, 7001, 7004], network.client);
    t.equal(leaks(network), 0, "wireguard container killed: no packet");
  });
}
