// The life of one connection: a dead target, a crowd, a half-close, a peer that vanishes.
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { forwarders } from "../lab/vpn/gateway.ts";
import { run } from "../lab/vpn/hosts.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { startFlood, startSession, startTalk, talk, talkAll, untilHeard } from "../lab/vpn/traffic.ts";
import { until } from "../wait.ts";

for (const forwarder of forwarders) {
  void t.test(`connections (${forwarder})`, async (t) => {
    const { network, vpn, gateway } = await startLab(t, { forwarder });
    gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 10.0.0.99 7000 wg0", "7002 10.0.0.5 7999 wg0");
    await untilHeard(network, 7000, "five");
    await gateway.inForce(7002);
    const sessions = (): number =>
      run(vpn.host, "ss -tnH state established '( sport = :7000 )'").trim().split("\n").filter(Boolean).length;

    const dead = startTalk(network, 7001, { forMs: 20_000 });

    const closedPort = talk(network, 7002, { forMs: 5_000 });
    t.ok(
      (closedPort.endedMs ?? Infinity) < 1_000,
      `a closed port: the client sees the end after ${closedPort.endedMs} ms`,
    );

    const crowd = talkAll(network, 7000, { connections: 500, forMs: 10_000, halfClose: true });
    const served = crowd.filter((heard) => heard.text === "five\nlate\n");
    const slowest = Math.max(...crowd.map((heard) => heard.firstByteMs ?? Infinity));
    t.equal(
      served.length,
      500,
      `500 connections at once, all half-closed: each one got its greeting (the last after ${slowest} ms) and its late reply`,
    );
    await until("their processes end", () => sessions() === 0);

    const deadEnd = (await dead.heard).endedMs ?? Infinity;
    t.ok(deadEnd < 10_000, `a dead target: the client sees the end after ${deadEnd} ms`);

    const stranded = await startSession(network, 7000, {
      say: "more",
      afterMs: 1_000,
      forMs: forwarder === "socat" ? 60_000 : 15_000,
    });
    await until("the session is there", () => sessions() === 1);
    run(vpn.host, "iptables -I INPUT -i wg0 -j DROP; iptables -I OUTPUT -o wg0 -j DROP");
    if (forwarder === "socat") {
      const end = (await stranded.heard).endedMs ?? Infinity;
      t.ok(end < 45_000, `the target vanishes with data on the way: the client sees the end after ${end} ms`);
    } else {
      await sleep(5_000);
    }
    run(vpn.host, "iptables -F INPUT; iptables -F OUTPUT");
    if (forwarder === "kernel")
      t.equal(
        (await stranded.heard).text,
        "five\nmore",
        "the target vanishes and comes back: the session is the client's own",
      );
    await untilHeard(network, 7000, "five");
  });
}

void t.test("one client opens 500 connections a second and holds them", async (t) => {
  const most = 300;
  const { network, gateway } = await startLab(t, { env: { MAX_CHILDREN: `${most}` } });
  const ports = Array.from({ length: 20 }, (_, index) => 7000 + index);
  gateway.setForwards(...ports.map((port) => `${port} 10.0.0.5 7000 wg0`));
  await untilHeard(network, 7019, "five");
  const attacker = startFlood(network, 7000, 500);
  const opened = (): number => Number(attacker.output().trim().split("\n").at(-1));
  await until("it holds more than its port serves", () => opened() > 4 * most);

  const others = ports.slice(1).map((port) => talk(network, port));
  t.strictSame(new Set(others.map(({ text }) => text)), new Set(["five\n"]), "the other ports serve");
  const slowest = Math.max(...others.map(({ firstByteMs = Infinity }) => firstByteMs));
  t.comment(`the slowest answer came after ${slowest} ms`);
  const sessions = run(network.pod, "ss -tnH state established 'dport = :7000' | wc -l").trim();
  t.ok(Number(sessions) <= most, `${opened()} connections held, ${sessions} sessions: no more than one port may have`);
  attacker.kill("SIGKILL");
  await attacker.ended;
  // (The target takes 2 s to end a connection whose client is gone, and those that waited are served in their turn.)
  t.comment(`its port serves others ${await untilHeard(network, 7000, "five", 40_000)} ms after its end`);
});
