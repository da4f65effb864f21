// Forwards are added and removed while others carry traffic, without an effect on these.
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { forwarders, variants } from "../lab/vpn/gateway.ts";
import { tryRun, run, startOn, type Started } from "../lab/vpn/hosts.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { podAddress } from "../lab/vpn/network.ts";
import { postgresBin, startPostgres } from "../lab/vpn/postgres.ts";
import { startSession, startTarget, untilHeard, untilRefused } from "../lab/vpn/traffic.ts";
import { until } from "../wait.ts";

for (const { shell, forwarder } of variants) {
  void t.test(
    `20 changes under load, ${shell === "busybox" ? "woken by inotifyd" : "by polling"} (${shell}, ${forwarder})`,
    async (t) => {
      const { network, vpn, gateway } = await startLab(t, { shell, forwarder });
      await startPostgres(t, vpn.host, "10.0.0.5");
      const base = ["7000 10.0.0.5 7000 wg0", "5432 10.0.0.5 5432 wg0"];
      gateway.setForwards(...base);
      await untilHeard(network, 7000, "five");
      const database = `-h ${podAddress} -U postgres postgres`;
      await until(
        "PostgreSQL by the gateway",
        () => tryRun(network.client, `${postgresBin()}/psql ${database} -c 'select 1'`).status === 0,
      );
      await gateway.inForce(5432);
      run(network.client, `${postgresBin()}/pgbench -q -i ${database}`);

      const pgbench = (options: string): Started =>
        startOn(network.client, [
          `${postgresBin()}/pgbench`,
          ..."-S -T 120 --failures-detailed".split(" "),
          ...options.split(" "),
          ...database.split(" "),
        ]);
      const benches = [pgbench("-c 8 -j 2"), pgbench("-C -c 2 -j 1")]; // 8 long sessions, 2 clients that connect for each transaction
      await sleep(500);
      const accept: number[] = [];
      const refuse: number[] = [];
      for (let change = 0; change < 20; change++) {
        if (change % 2 === 0) {
          gateway.setForwards(...base, `${8000 + change} 10.0.0.5 7000 wg0`);
          accept.push(await untilHeard(network, 8000 + change, "five"));
        } else {
          gateway.setForwards(...base);
          refuse.push(await untilRefused(network, 8000 + change - 1));
        }
      }
      for (const bench of benches) {
        bench.kill("SIGALRM"); // what its own -T uses: it ends and reports
        await until("its report", () => bench.output().includes("tps ="));
        t.comment(
          bench
            .output()
            .match(/.*(clients|processed|failed|tps).*/g)
            ?.join("; "),
        );
        t.match(bench.output(), /failed transactions: 0 /, "no transaction failed");
        t.notMatch(bench.output(), /aborted|error/i, "no session was lost");
      }
      t.comment(`accepts after ${accept.join(" ")} ms, refuses after ${refuse.join(" ")} ms`);
      // The load takes all of the machine: one late answer of ten may be its doing.
      const allButOne = (times: readonly number[]): number => times.toSorted((a, b) => a - b).at(-2) ?? Infinity;
      t.ok(allButOne(accept) < 2_000, "a new forward accepts within 2 s");
      t.ok(allButOne(refuse) < 2_000, "a removed forward refuses within 2 s");
    },
  );
}

for (const forwarder of forwarders) {
  void t.test(`only changed forwards are touched (${forwarder})`, async (t) => {
    const { network, vpn, gateway } = await startLab(t, { forwarder, privateAddresses: ["10.0.0.6"] });
    await startTarget(vpn.host, "10.0.0.6", 7000, "six");
    const listeners = (): string =>
      run(network.pod, "ss -tlnpH | sed -n 's/.*:\\(7[0-9]*\\) .*pid=\\([0-9]*\\).*/\\1 \\2/p' | sort");
    gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 10.0.0.5 7000 wg0");
    await untilHeard(network, 7001, "five");
    await gateway.inForce(7001);
    const before = listeners();
    const kept = await startSession(network, 7000, { say: "still here", afterMs: 6_000, forMs: 8_000 });
    const changed = await startSession(network, 7001, { say: "x", afterMs: 6_000, forMs: 20_000 });

    gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 10.0.0.6 7000 wg0");
    await untilHeard(network, 7001, "six");
    const removed = await startSession(network, 7001, { say: "x", afterMs: 4_000, forMs: 20_000 });
    t.equal(listeners().split("\n")[0], before.split("\n")[0], "the other listener is the same process");
    gateway.setForwards("7000 10.0.0.5 7000 wg0");
    await untilRefused(network, 7001);
    for (const [session, text] of [
      [changed, "five\n"],
      [removed, "six\n"],
    ] as const) {
      const heard = await session.heard;
      t.equal(heard.text, text, "no byte of a session passes when its line is gone");
      t.ok((heard.endedMs ?? Infinity) < 10_000, `and it ended after ${heard.endedMs} ms (${heard.error ?? "closed"})`);
    }
    t.equal((await kept.heard).text, "five\nstill here", "a session of another line does not notice");

    const victim = listeners().split(" ")[1] ?? "";
    run(network.pod, `kill -9 ${victim}`);
    t.ok((await untilHeard(network, 7000, "five")) < 2_500, "a listener that was killed is started again");
  });
}
