// Ready only while the handshake is fresh; live as long as a restart would heal nothing.
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { forwarders } from "../lab/vpn/gateway.ts";
import { tryRun, run } from "../lab/vpn/hosts.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { talk, untilHeard } from "../lab/vpn/traffic.ts";
import { until } from "../wait.ts";

for (const forwarder of forwarders) {
  void t.test(`probes (${forwarder})`, async (t) => {
    const { network, vpn, gateway } = await startLab(t, { forwarder, env: { MAX_HANDSHAKE_AGE: "6" }, containers: [] });
    const ready = (): boolean => gateway.isReady();
    const live = (): boolean => gateway.isAlive("tunnel");
    t.notOk(gateway.isAlive("tunnel"), "not live before it runs");
    t.notOk(ready(), "not ready before it runs");
    gateway.start("tunnel");
    gateway.start("forward");
    await until("ready", ready);

    await sleep(7_000);
    await until("not ready once the handshake is older than MAX_HANDSHAKE_AGE", () => !ready(), 2_000);
    t.match(run(network.pod, "wg show wg0"), "latest handshake", "although there is one");
    t.ok(live(), "live: a restart would not make the other end answer");

    await vpn.stop();
    await sleep(1_000);
    t.notOk(ready(), "server dead: not ready");
    t.ok(live(), "server dead: live");
    t.equal(talk(network, 7000).error, "ECONNREFUSED", "server dead: the port refuses, nobody waits to know");
    await vpn.start();
    // After 180 s the session's keys are too old, and a keepalive alone makes a handshake. After 6 s it takes traffic
    // that is not answered for 15 s, and the listeners refuse.
    const traffic = "socat -u OPEN:/dev/null TCP4:10.0.0.5:7000,so-bindtodevice=wg0,connect-timeout=0.3";
    const back = await until("ready again", () => (tryRun(network.pod, traffic), ready()), 40_000);
    t.comment(`server back: ready by itself after ${back} ms`);
    await untilHeard(network, 7000, "five");

    gateway.setForwards("7001 10.0.0.5 7000 wg7");
    await until("not ready: the only forward is by a tunnel that is not there", () => !ready());
    t.match(await gateway.log(), "not ready, none of the tunnels that carry forwards is up", "and said");
    gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 10.0.0.5 7000 wg7");
    await until("ready: beside it is one by a tunnel that is up", ready);
    gateway.setForwards("7001 10.0.0.5 7000 wg7");
    await until("not ready again", () => !ready());
    gateway.setForwards();
    await until("ready: no forward, nothing to wait for", ready);
    gateway.setForwards("7001 10.0.0.5 7000 wg7");
    await until("not ready again", () => !ready());
    gateway.setForwards("7000 10.0.0.5 7000 $(reboot)", "7000 -x 7000 --help");
    await until("ready: hostile tunnel names are not looked at", ready);

    const hang = (part: string, sign: string): void => {
      gateway.signal("tunnel", part, "SIGSTOP");
      run(network.pod, `touch -d '5 minutes ago' ${gateway.directory}/run/${sign}.alive`);
    };
    if (forwarder === "kernel") {
      hang("kernel.sh", "_kernel");
      t.notOk(live(), "kernel.sh hangs: not live, its rules may be old");
      gateway.signal("tunnel", "kernel.sh", "SIGCONT");
      await until("live again", live);
    }
    hang("tunnel.sh", "wg0");
    t.notOk(live(), "a worker that hangs: not live");
  });
}
