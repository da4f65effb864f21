// Host names: resolved by the tunnel's DNS servers, through the tunnel; by the pod's resolver where it has none.
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { variants } from "../lab/vpn/gateway.ts";
import { run } from "../lab/vpn/hosts.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { leaks, startDns } from "../lab/vpn/network.ts";
import { startTarget, talk, untilHeard } from "../lab/vpn/traffic.ts";
import { documentedSecret } from "../lab/vpn/vpn.ts";
import { until } from "../wait.ts";

for (const { shell, forwarder } of variants) {
  void t.test(`names (${shell}, ${forwarder})`, async (t) => {
    const { network, vpn, gateway } = await startLab(t, {
      shell,
      forwarder,
      secret: { dns: "10.0.0.53, corp.example.com" },
      privateAddresses: ["10.0.0.6", "10.0.0.53"],
      env: { RESOLVE_EVERY: "2" },
    });
    await startTarget(vpn.host, "10.0.0.6", 7000, "six");
    let dns = startDns(vpn.host, "10.0.0.53", { "sql.corp.example.com": "10.0.0.5", single: "10.0.0.6" });
    gateway.setForwards(
      "7000 10.0.0.5 7000 wg0",
      "7001 sql.corp.example.com 7000 wg0",
      "7002 single 7000 wg0",
      "7003 nowhere.corp.example.com 7000 wg0",
    );
    const listener = (): string => run(network.pod, "ss -tlnpH 'sport = :7000'").replace(/.*pid=(\d+).*/s, "$1");

    t.comment(`a name answers after ${await untilHeard(network, 7001, "five")} ms`);
    await untilHeard(network, 7002, "six");
    const before = listener();
    const change = async (names: Record<string, string>): Promise<void> => {
      dns.kill("SIGKILL");
      await dns.ended;
      dns = startDns(vpn.host, "10.0.0.53", names);
    };
    await change({ "sql.corp.example.com": "10.0.0.6", single: "10.0.0.6" });
    t.comment(`the name moves: followed after ${await untilHeard(network, 7001, "six")} ms (RESOLVE_EVERY 2 s)`);
    t.equal(listener(), before, "the other listeners are not touched");
    await change({ single: "10.0.0.6" });
    await sleep(5_000);
    t.equal(talk(network, 7001).text, "six\n", "no answer any more: the last good address stays");
    t.equal(talk(network, 7003).error, "ECONNREFUSED", "a name that never resolved has no listener");
    await change({ "sql.corp.example.com": "10.0.0.6", "nowhere.corp.example.com": "10.0.0.5" });
    t.comment(`and is served ${await untilHeard(network, 7003, "five")} ms after it exists`);
    t.equal(leaks(network), 0, "no query left by the pod's own network");

    gateway.setSecret("wg0", documentedSecret(vpn, { dns: "1.1.1.1" }));
    gateway.setForwards("7004 vpn.example.com 7000 wg0");
    await until("a DNS server outside AllowedIPs is left to the pod's resolver", async () =>
      (await gateway.log()).includes("7004 -> 192.0.2.10"),
    );
    t.equal(leaks(network), 0, "which is the cluster's");
  });
}
