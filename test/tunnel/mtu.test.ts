// Large results in both directions, at the MTUs that people set, with every ICMP message lost on the way.
import t from "tap";
import { forwarders } from "../lab/vpn/gateway.ts";
import { tryRun, run } from "../lab/vpn/hosts.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { podAddress } from "../lab/vpn/network.ts";
import { postgresBin, startPostgres } from "../lab/vpn/postgres.ts";
import { documentedSecret } from "../lab/vpn/vpn.ts";
import { until } from "../wait.ts";

for (const forwarder of forwarders) {
  void t.test(`10 MB each way (${forwarder})`, async (t) => {
    const { network, vpn, gateway } = await startLab(t, { forwarder });
    await startPostgres(t, vpn.host, "10.0.0.5");
    gateway.setForwards("5432 10.0.0.5 5432 wg0");
    const psql = `${postgresBin()}/psql -h ${podAddress} -U postgres -At`;
    await until("PostgreSQL", () => tryRun(network.client, `${psql} -c 'select 1'`).status === 0);
    await gateway.inForce(5432);
    const blockIcmp =
      "iptables -A INPUT -p icmp -j DROP; ip6tables -A INPUT -p ipv6-icmp --icmpv6-type packet-too-big -j DROP";

    for (const [mtu, blocked] of [
      ["1280", false],
      ["1420", false],
      ["1420", true],
      ["1280", true],
      ["", true],
    ] as const) {
      if (blocked) for (const host of [network.pod, network.client, network.node, vpn.host]) run(host, blockIcmp);
      const secret = documentedSecret(vpn, { mtu });
      gateway.setSecret("wg0", mtu === "" ? secret.replace(/^MTU.*\n/m, "") : secret);
      const inForce = mtu === "" ? 1420 : Number(mtu);
      await until("the MTU", () => run(network.pod, "ip link show wg0").includes(`mtu ${inForce} `));
      if (forwarder === "kernel")
        await until("the MSS", () => run(network.pod, "iptables -S").includes(`--set-mss ${inForce - 40}`));
      const begun = performance.now();
      const received = run(
        network.client,
        `timeout 20 ${psql} -c "select repeat('x', 1023) from generate_series(1, 10240)" | wc -c`,
      );
      const copy = `${psql} -c 'create temp table t (line text)' -c '\\copy t from stdin' -c 'select sum(length(line)) from t'`;
      const sent = run(network.client, `yes ${"x".repeat(1023)} | head -n 10240 | timeout 20 ${copy}`);
      const elapsed = Math.round(performance.now() - begun);
      const name = `MTU ${mtu === "" ? "not set (1500 - 80)" : mtu}${blocked ? ", ICMP blocked" : ""}`;
      t.equal(received.trim(), "10485760", `${name}: down`);
      t.match(sent, "10475520", `${name}: up, ${elapsed} ms for both`);
    }
  });
}
