// Two processes with two configs on one cluster: the one with the older config leaves pods to the other.
import t from "tap";
import { pino } from "pino";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { startServer } from "../../src/server/run.ts";
import { createStanding } from "../../src/server/standing.ts";
import { configOf, podOf, reviewText, scripts } from "../making.ts";
import { type ClientAnswer, send } from "./client.ts";

const cluster = createMemoryCluster();
const configWith = (revision: number, allowed: string) =>
  configOf(
    `revision: ${revision}\ngateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, allowedTargets: [${allowed}]}]}]`,
  );
const start = async (config: ReturnType<typeof configWith>) => {
  const log = pino({ level: "silent" });
  const common = { cluster, scripts, version: "1", log, host: "127.0.0.1", port: 0, metricsPort: 0, drainSeconds: 0 };
  const server = await startServer({ ...common, config });
  t.teardown(server.stop);
  return server;
};
const ask = (url: string, targets: string): Promise<ClientAnswer> =>
  send(`${url}/mutate?timeout=5s`, { body: reviewText(podOf(targets)) });
const allowed = (answer: ClientAnswer): boolean => (JSON.parse(answer.body) as Review).response.allowed;
type Review = { readonly response: { readonly allowed: boolean } };

t.test("a process with an older config serves known targets, and leaves writes and refusals to others", async (t) => {
  const [old, next] = [await start(configWith(1, "10.0.0.5")), await start(configWith(2, "10.0.0.5, 10.0.0.6"))];
  t.ok(allowed(await ask(old.url, "a=10.0.0.5:80")));
  t.notOk(allowed(await ask(old.url, "b=10.0.0.6:80")), "a refusal of its own");
  t.ok(allowed(await ask(next.url, "b=10.0.0.6:80")));
  // Another target of the old config is not in its cache: the gateway is read.
  const left = await ask(old.url, "a=10.0.0.5:81");
  t.match(left, { status: 503, headers: { connection: "close" }, body: /superseded/ });
  t.match(await ask(old.url, "b=10.0.0.6:80"), { status: 503, headers: { connection: "close" }, body: /superseded/ });
  t.ok(allowed(await ask(old.url, "a=10.0.0.5:80")), "known, and served");
  t.match(await send(`${old.url}/readyz`), { status: 503, body: /waits for a process with the config/ });
  t.match(await send(old.metricsUrl), { body: /flowgen_gateway_config_behind\{gateway="g\/\S+"\} 1/ });
  t.match(await send(next.metricsUrl), { body: /flowgen_gateway_config_behind\{gateway="g\/\S+"\} 0/ });
  t.match(await send(`${next.url}/readyz`), { status: 200 });
  old.setConfig(configWith(3, "10.0.0.5"));
  t.match(await send(`${old.url}/readyz`), { status: 200 }, "another config: it may be in force");
  t.notOk(allowed(await ask(old.url, "b=10.0.0.6:80")), "its refusals are its own again");
});

t.test("not ready for 30 s, unless it is in force again before", async (t) => {
  let time = 0;
  const standing = createStanding(() => time);
  standing.note("g/a", true);
  t.equal(standing.waitsFor(), undefined, "ready, as long as it can serve");
  standing.giveWay();
  t.ok(standing.waitsFor());
  time = 29_999;
  t.ok(standing.waitsFor());
  standing.note("g/a", false);
  t.equal(standing.waitsFor(), undefined);
  standing.note("g/a", true);
  time = 30_000;
  t.equal(standing.waitsFor(), undefined);
});
