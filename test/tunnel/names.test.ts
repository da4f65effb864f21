// Host names: resolved by the tunnel's DNS servers, through the tunnel; by the pod's resolver where it has none.
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { variants } from "../lab/vpn/gateway.ts";
import { run } from "../lab/vpn/hosts.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { leaks, podAddress, podAddress6, startDns } from "../lab/vpn/network.ts";
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
      (await gateway.log()).includes("vpn.example.com: 192.0.2.10 is outside the AllowedIPs of tunnel wg0"),
    );
    t.equal(leaks(network), 0, "which is the cluster's");
  });
}

void t.test("a name with several addresses", async (t) => {
  const { network, vpn, gateway } = await startLab(t, {
    secret: { dns: "10.0.0.53" },
    privateAddresses: ["10.0.0.6", "10.0.0.53"],
    env: { RESOLVE_EVERY: "3" },
    containers: [],
  });
  const six = await startTarget(vpn.host, "10.0.0.6", 7000, "six");
  startDns(vpn.host, "10.0.0.53", { "listener.corp.example.com": "10.0.0.4" }, [
    "--host-record=listener.corp.example.com,10.0.0.6",
  ]);
  gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 listener.corp.example.com 7000 wg0");
  gateway.start("tunnel");
  gateway.start("forward");
  await untilHeard(network, 7000, "five");
  const after = await untilHeard(network, 7001, "six");
  t.ok(after < 6_000, `10.0.0.4 is dead, 10.0.0.6 accepts: taken ${after} ms after a forward by address`);
  const before = (await gateway.log()).split("7001 ->").length;
  await sleep(7_000);
  t.equal((await gateway.log()).split("7001 ->").length, before, "the present one stays as long as it accepts");

  run(vpn.host, "ip addr add 10.0.0.4/32 dev lo");
  await startTarget(vpn.host, "10.0.0.4", 7000, "four");
  await sleep(4_000);
  t.equal(talk(network, 7001).text, "six\n", "also when another one accepts");
  six.kill("SIGKILL");
  t.comment(`it fails: the other one is taken after ${await untilHeard(network, 7001, "four")} ms (RESOLVE_EVERY 3 s)`);
});

void t.test("names that resolve to what is no private server, and a server that drops AAAA", async (t) => {
  const { network, vpn, gateway } = await startLab(t, {
    secret: { dns: "10.0.0.53", allowedIps: "0.0.0.0/0" },
    privateAddresses: ["10.0.0.53"],
    env: { RESOLVE_EVERY: "2" },
  });
  run(vpn.host, "iptables -A INPUT -p udp --dport 53 -m string --algo bm --hex-string '|001c0001|' -j DROP");
  const forbidden = {
    "metadata.corp.example.com": "169.254.169.254",
    "zero.corp.example.com": "0.0.0.0",
    "loopback.corp.example.com": "127.0.0.1",
    "reserved.corp.example.com": "240.0.0.1",
    "oracle.corp.example.com": "192.0.0.192",
    "azure.corp.example.com": "168.63.129.16",
    "tunnel.corp.example.com": "10.13.13.2",
    "pod.corp.example.com": podAddress,
  };
  startDns(vpn.host, "10.0.0.53", { ...forbidden, "sql.corp.example.com": "10.0.0.5" });
  gateway.setForwards(
    ...Object.keys(forbidden).map((name, index) => `${7100 + index} ${name} 7000 wg0`),
    "7000 10.0.0.5 7000 wg0",
    "7001 sql.corp.example.com 7000 wg0",
  );
  await untilHeard(network, 7000, "five");
  const after = await untilHeard(network, 7001, "five");
  t.ok(after < 2_000, `AAAA dropped: A is served ${after} ms after a forward by address`);
  for (const [index, [name, address]] of Object.entries(forbidden).entries()) {
    await until(`${name} is refused`, async () => (await gateway.log()).includes(`forward: ${name}: ${address} is `));
    t.equal(talk(network, 7100 + index).error, "ECONNREFUSED", `${name}: its port refuses`);
  }
  await sleep(5_000);
  const lines = (await gateway.log()).split("\n").filter((line) => line.includes("metadata.corp.example.com"));
  t.equal(lines.length, 1, "said once");
});

void t.test("names that resolve to IPv6 addresses that are no private server's", async (t) => {
  const { network, vpn, gateway } = await startLab(t, {
    secret: { address: "10.13.13.2/24, fd13::2/64", dns: "10.0.0.53", allowedIps: "0.0.0.0/0, ::/0" },
    privateAddresses: ["10.0.0.53", "fd00:a::5"],
    env: { RESOLVE_EVERY: "2" },
  });
  await startTarget(vpn.host, "fd00:a::5", 7000, "five6");
  const forbidden = {
    "credentials.corp.example.com": "fd00:ec2::23",
    "metadata.corp.example.com": "fd00:ec2::254",
    "compatible.corp.example.com": "::10.0.0.5",
    "site.corp.example.com": "fec0::5",
    "link.corp.example.com": "fe80::5",
    "relay.corp.example.com": "2002:a00:5::1",
    "translated.corp.example.com": "64:ff9b::7f00:1",
    "loopback.corp.example.com": "::1",
    "tunnel.corp.example.com": "fd13::2",
    "pod.corp.example.com": podAddress6,
  };
  startDns(vpn.host, "10.0.0.53", { ...forbidden, "sql.corp.example.com": "fd00:a::5" });
  gateway.setForwards(
    ...Object.keys(forbidden).map((name, index) => `${7100 + index} ${name} 7000 wg0`),
    "7001 sql.corp.example.com 7000 wg0",
  );
  await untilHeard(network, 7001, "five6");
  for (const [index, name] of Object.keys(forbidden).entries()) {
    const refusal = new RegExp(`forward: ${name}: [0-9a-f:.]+ (is|leads to)`);
    await until(`${name} is refused`, async () => refusal.test(await gateway.log()));
    t.equal(talk(network, 7100 + index).error, "ECONNREFUSED", `${name}: its port refuses`);
  }
});
