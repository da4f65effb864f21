// The pod's metrics for Prometheus: each tunnel, each forward, and no key. Read as a client in the cluster reads it.
import t from "tap";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { variants } from "../lab/vpn/gateway.ts";
import { run } from "../lab/vpn/hosts.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { podAddress, type Network } from "../lab/vpn/network.ts";
import { startSession, talk, talkAll, untilHeard, untilRefused } from "../lab/vpn/traffic.ts";
import { until } from "../wait.ts";

const ask = (network: Network, request: string): string =>
  run(network.client, `printf '${request}' | socat -t5 - TCP4:${podAddress}:65534,connect-timeout=2`);
const scrape = (network: Network): string => ask(network, "GET /metrics HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n");

/** The value of the only series whose name and labels have all these parts. */
const value = (text: string, ...parts: readonly string[]): number | undefined => {
  const found = text
    .split("\n")
    .filter((line) => line.startsWith("flowgen_gateway_") && parts.every((part) => line.includes(part)));
  if (found.length > 1) throw new Error(`${parts.join(" ")}: ${found.join("\n")}`);
  return found[0] === undefined ? undefined : Number(found[0].split(" ").at(-1));
};
const now = (): number => Date.now() / 1000;

for (const { shell, forwarder } of variants) {
  void t.test(`metrics (${shell}, ${forwarder})`, async (t) => {
    const goesDown = shell === "busybox" && forwarder === "socat";
    const { network, vpn, gateway } = await startLab(t, {
      shell,
      forwarder,
      env: {
        GATEWAY: "flowgen-gateway/gw",
        BUILD: "abc",
        MAX_CHILDREN: "3",
        MAX_HANDSHAKE_AGE: goesDown ? "25" : "180",
      },
    });
    const up = join(gateway.directory, "up");
    await until("the tunnel is up", () => existsSync(join(up, "wg0")));
    const looked = readFileSync(join(up, "._metrics/wg0"), "utf8");
    t.match(looked, /^1420\n1 192\.0\.2\.10:51820 [1-9]/, "it is up with its MTU, its peer and the handshake");
    await untilHeard(network, 7000, "five");
    gateway.setForwards(
      "7000 10.0.0.5 7000 wg0",
      "7001 10.0.0.5 7999 wg0",
      "7002 10.0.0.5 7000 wg7",
      "7003 192.168.7.7 7000 wg0",
      "7004 nowhere.corp.example.com 7000 wg0",
    );
    await untilRefused(network, 7004);
    await gateway.inForce(7001);
    await until("the forward by name refuses", async () => (await gateway.log()).includes("no address for the name"));
    const begun = value(scrape(network), "connects_total", 'port="7000"') ?? 0;
    const session = await startSession(network, 7000, { forMs: forwarder === "kernel" ? 18_000 : 8_000 });
    for (let i = 0; i < 3; i++) talk(network, 7001, { forMs: 200 });
    if (forwarder === "kernel") await sleep(11_000); // it reads its rules' counters every ten seconds

    const text = scrape(network);
    t.match(text, /^HTTP\/1.0 200 OK\r\nContent-Type: text\/plain; version=0.0.4/);
    const series = text.split("\n").filter((line) => line.startsWith("flowgen_gateway_"));
    t.equal(new Set(series.map((line) => line.replace(/ [^ ]*$/, ""))).size, series.length, "no series twice");
    for (const line of series) {
      t.match(line, /^[a-z_]+\{gateway="flowgen-gateway\/gw"[^{}]*\} \d+$/);
      t.ok(text.includes(`# TYPE ${line.replace(/\{.*/, "")} `), line);
    }
    for (const key of [vpn.clientKeys.privateKey, vpn.clientKeys.publicKey, vpn.keys.publicKey])
      t.notOk(text.includes(key.slice(0, 20)), "no key");

    t.equal(value(text, "pod_info", 'build="abc"', /table="([0-9a-f]{32})"/.exec(text)?.[0] ?? "none"), 1);
    t.ok(Math.abs((value(text, "pod_table_timestamp_seconds") ?? 0) - now()) < 60, "the table's time");
    const peer = 'tunnel="wg0",peer="1"';
    t.equal(value(text, "tunnel_up", 'tunnel="wg0"'), 1);
    t.equal(value(text, "tunnel_mtu_bytes", 'tunnel="wg0"'), 1420);
    t.equal(value(text, "tunnel_peer_info", peer, 'address="192.0.2.10:51820"'), 1);
    t.ok(now() - (value(text, "tunnel_latest_handshake_timestamp_seconds", peer) ?? 0) < 60, "the handshake's age");
    for (const name of ["tunnel_received_bytes_total", "tunnel_sent_bytes_total"])
      await until(name, () => (value(scrape(network), name, peer) ?? 0) > 200); // more than the handshake

    const five = 'target="10.0.0.5:7000",port="7000"';
    t.equal(value(text, "forward_up", five), 1);
    t.equal(value(text, "forward_sessions", five), 1, "the open session");
    t.equal(value(text, "forward_connects_total", five), begun + 1, "and its connection");
    t.ok(now() - (value(text, "forward_last_use_timestamp_seconds", five) ?? 0) < 60, "used now");
    t.equal(value(text, "forward_connects_total", 'port="7001"'), 3);
    t.equal(value(text, "forward_failures_total", 'port="7001"', 'cause="refused"'), forwarder === "kernel" ? 0 : 3);
    t.equal(value(text, "forward_failures_total", 'port="7001"', 'cause="timeout"'), 0);
    const failing = value(text, "forward_failing", 'port="7001"', 'cause="refused"');
    t.equal(failing, forwarder === "kernel" ? undefined : 3);
    t.equal(value(text, "forward_failing", 'port="7000"'), undefined, "connections to the other one succeed");
    t.equal(value(text, "forward_last_use_timestamp_seconds", 'port="7003"'), 0, "never used");
    for (const [port, reason] of Object.entries({ 7002: "tunnel", 7003: "target", 7004: "name" })) {
      t.equal(value(text, "forward_up", `port="${port}"`), 0);
      t.equal(value(text, "forward_refuses", `port="${port}"`, `reason="${reason}"`), 1, reason);
    }
    t.match(ask(network, "GET /run HTTP/1.0\\r\\n\\r\\n"), /^HTTP\/1.0 404 /);
    t.match(ask(network, "POST /metrics HTTP/1.0\\r\\n\\r\\n"), /^HTTP\/1.0 404 /);

    gateway.signal("forward", "forwards/counts", "SIGKILL");
    if (forwarder === "socat")
      await until("counted again", () => value(scrape(network), "connects_total", 'port="7000"') === 0);
    t.equal(talk(network, 7000).text, "five\n", "a reader of the events that ends stops nothing");
    t.strictSame((await session.heard).endedMs, undefined, "nor a session");

    if (forwarder === "socat") {
      const served = talkAll(network, 7000, { connections: 5, forMs: 1_000 }).filter(({ text }) => text === "five\n");
      t.ok(served.length <= 3, `a port has as many sessions as it may have (${served.length}), the others wait`);
      t.ok((value(scrape(network), "forward_failures_total", five, 'cause="limit"') ?? 0) > 0, "and that is counted");
    }
    if (!goesDown) return;
    await vpn.stop();
    await until("the tunnel is down", () => value(scrape(network), "tunnel_up", 'tunnel="wg0"') === 0, 40_000);
    await until("its port refuses", () => value(scrape(network), "forward_refuses", five, 'reason="tunnel"') === 1);
  });
}
