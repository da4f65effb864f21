// Ready only while the handshake is fresh; live as long as a restart would heal nothing.
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { run, until } from "./hosts.ts";
import { startLab } from "./lab.ts";
import { talk, untilHeard } from "./traffic.ts";

void t.test("probes", async (t) => {
  const { network, vpn, gateway } = await startLab(t, { env: { MAX_HANDSHAKE_AGE: "6" }, containers: [] });
  const ready = (): boolean => gateway.probe("ready", "tunnel").ok;
  const live = (): boolean => gateway.probe("live", "tunnel").ok;
  t.notOk(gateway.probe("live", "tunnel").ok, "not live before it runs");
  t.notOk(gateway.probe("ready", "forward").ok, "not ready before it runs");
  gateway.start("tunnel");
  gateway.start("forward");
  await until("ready", ready);
  await until("the socat container is ready", () => gateway.probe("ready", "forward").ok);

  await sleep(7_000);
  t.notOk(ready(), "not ready once the handshake is older than MAX_HANDSHAKE_AGE");
  t.match(run(network.pod, "wg show wg0"), "latest handshake", "although there is one");
  t.ok(live(), "live: a restart would not make the other end answer");

  await vpn.stop();
  await sleep(1_000);
  t.notOk(ready(), "server dead: not ready");
  t.ok(live(), "server dead: live");
  await vpn.start();
  // With traffic WireGuard notices after 15 s that its session is gone, idle at the next rekey (120 s).
  const back = await until("ready again", () => (talk(network, 7000, { forMs: 300 }), ready()), 40_000);
  t.comment(`server back: ready by itself after ${back} ms`);
  await untilHeard(network, 7000, "five");

  gateway.setForwards();
  t.ok(ready(), "no forward, nothing to wait for: ready");
  gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 10.0.0.5 7000 wg7");
  t.notOk(ready(), "a forward by a tunnel that is not there: not ready");
  gateway.setForwards("7000 10.0.0.5 7000 $(reboot)", "7000 -x 7000 --help");
  t.ok(ready(), "hostile tunnel names are not looked at");

  const worker = run(network.pod, `cat ${gateway.directory}/run/wg0.pid`).trim();
  const inContainer = `nsenter --target ${gateway.pidOf("tunnel")} --pid`;
  run(network.pod, `${inContainer} kill -STOP ${worker}; touch -d '5 minutes ago' ${gateway.directory}/run/wg0.alive`);
  t.notOk(live(), "a worker that hangs: not live");
});
