// Killed processes are started again in the same pod, and the end of the pod is orderly.
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { run, startOn } from "../lab/vpn/hosts.ts";
import { DRAIN_SECONDS, forwarders, variants, type GatewayPart } from "../lab/vpn/gateway.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { leaks } from "../lab/vpn/network.ts";
import { startSession, talk, untilHeard } from "../lab/vpn/traffic.ts";
import { startWireguard } from "../lab/vpn/vpn.ts";
import { until } from "../wait.ts";

type Step = [string, () => void | Promise<void>];
for (const { shell, forwarder } of variants) {
  void t.test(`kill -9 (${shell}, ${forwarder})`, async (t) => {
    const { network, gateway } = await startLab(t, { shell, forwarder });
    await untilHeard(network, 7000, "five");
    await gateway.inForce(7000);
    const routes = run(network.pod, "ip route show table main");
    const restart = async (container: GatewayPart): Promise<void> => {
      await gateway.stop(container, "SIGKILL");
      gateway.start(container);
    };
    const kill = (container: GatewayPart, part: string) => (): void => gateway.signal(container, part, "SIGKILL");
    // nat last: kernel.sh, which comes back from the step before, may put its rules in between, and half of them have
    // no listener.
    const flush = "for tables in iptables ip6tables; do for t in filter mangle nat; do $tables -w -t $t -F; done; done";
    const steps: Step[] = [
      ["wireguard container", async () => restart("tunnel")],
      ["socat container", async () => restart("forward")],
      ["both containers", async () => restart("tunnel").then(async () => restart("forward"))],
      ["wireguard-go", kill("tunnel", "wireguard-go")],
      ["a tunnel's worker", kill("tunnel", "tunnel.sh")],
      ["a listener", kill("forward", "socat")],
      ["the resolver", kill("forward", "names.sh")],
    ];
    const kernelSteps: Step[] = [
      ["kernel.sh", kill("tunnel", "kernel.sh")],
      ["all rules", () => void run(network.pod, flush)],
    ];
    if (forwarder === "kernel") steps.push(...kernelSteps);
    for (const [what, action] of steps) {
      await action();
      await sleep(100);
      const back = await untilHeard(network, 7000, "five");
      t.ok(back < 4_000, `${what}: answers again after ${back} ms`);
    }
    await sleep(1_500);
    await gateway.inForce(7000);
    t.equal(run(network.pod, "ip route show table main"), routes, "the main routing table is as it was");
    t.equal(run(network.pod, "ip rule | grep -c 'oif wg0'").trim(), "1", "rules do not pile up");
    t.ok(gateway.isAlive("tunnel") && gateway.isAlive("forward"), "live");
    t.equal(leaks(network), 0, "nothing left by the pod's own network");
  });

  void t.test(`SIGTERM (${shell}, ${forwarder})`, async (t) => {
    const { network, gateway } = await startLab(t, { shell, forwarder });
    await untilHeard(network, 7000, "five");
    await sleep(3_000); // the sessions of this wait end
    const [tunnel, forward] = await Promise.all([
      gateway.stop("tunnel", "SIGTERM"),
      gateway.stop("forward", "SIGTERM"),
    ]);
    t.ok(Math.max(tunnel, forward) < 2_000, `idle: both containers end after ${tunnel} and ${forward} ms`);
    t.notMatch(run(network.pod, "ip link"), "wg0", "the identity is given up");

    gateway.start("tunnel");
    gateway.start("forward");
    await untilHeard(network, 7000, "five");
    await gateway.inForce(7000);
    const session = await startSession(network, 7000, { say: "last words", afterMs: 1_500, forMs: 2_000 });
    const ends = Promise.all([gateway.stop("tunnel", "SIGTERM"), gateway.stop("forward", "SIGTERM")]);
    t.equal(talk(network, 7000).text, "five\n", "as long as a session is open others are served too");
    t.equal((await session.heard).text, "five\nlast words", "it is served to its end");
    const drained = Math.max(...(await ends));
    t.ok(drained < DRAIN_SECONDS * 1_000 - 500, `and the containers end after it, ${drained} ms`);

    gateway.start("tunnel");
    gateway.start("forward");
    await untilHeard(network, 7000, "five");
    await gateway.inForce(7000);
    // Processes that end all the time must not look like the end of the sessions.
    startOn(network.pod, ["sh", "-c", "for _ in $(seq 400); do sleep 0.01; done"]);
    const endless = await startSession(network, 7000, { forMs: 10_000 });
    const talkative = await startSession(network, 7000, { say: "anybody?", afterMs: 7_000, forMs: 9_000 });
    const cut = Math.max(
      ...(await Promise.all([gateway.stop("tunnel", "SIGTERM"), gateway.stop("forward", "SIGTERM")])),
    );
    t.ok(
      cut > (DRAIN_SECONDS - 1) * 1_000 && cut < (DRAIN_SECONDS + 2) * 1_000,
      `a session that does not end is cut after ${DRAIN_SECONDS} s (DRAIN): ${cut} ms`,
    );
    const { endedMs } = await endless.heard;
    if (forwarder === "socat") t.ok((endedMs ?? Infinity) < 8_000, `and its client sees the end, after ${endedMs} ms`);
    else t.equal(endedMs, undefined, "its client, which has nothing to say, is not told");
    const { error, endedMs: told } = await talkative.heard;
    if (forwarder === "kernel") t.equal(error, "ECONNRESET", `and one that speaks is, after ${told} ms`);
    await until("refused", () => talk(network, 7000).error === "ECONNREFUSED");
  });
}

for (const forwarder of forwarders) {
  void t.test(`an interface that a killed container left behind is taken over (${forwarder})`, async (t) => {
    const { network, gateway } = await startLab(t, { forwarder, containers: [] });
    await startWireguard(network.pod); // as the kernel's would, it outlives the container
    gateway.start("tunnel");
    gateway.start("forward");
    await untilHeard(network, 7000, "five");
    await gateway.inForce(7000);
    const index = (): string => run(network.pod, "cat /sys/class/net/wg0/ifindex");
    const before = index();
    const session = await startSession(network, 7000, { say: "still here", afterMs: 3_000, forMs: 4_000 });
    await gateway.stop("tunnel", "SIGKILL");
    gateway.start("tunnel");
    await until("the worker", async () => (await gateway.log()).includes("taken over live"));
    t.equal(index(), before, "the same interface");
    t.equal((await session.heard).text, "five\nstill here", "a session lives through the restart");
  });
}
