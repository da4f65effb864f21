import t from "tap";
import { ClusterError, NEVER, type KubeObject } from "../../src/cluster/cluster.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import type { Config } from "../../src/core/config/config.ts";
import { createIntents, intentIn, intentOf } from "../../src/provisioning/intent.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { configOf, gatewayOf, scripts, wantOf } from "../making.ts";

const MSSQL = "10.0.0.5";
const POSTGRES = "10.0.0.6";
const made = (...allowed: readonly string[]) => configOf(config(1, allowed));
const config = (revision: number, allowed: readonly string[]): string =>
  `revision: ${revision}\ngateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, allowedTargets: [${allowed.join()}]}]}]`;
const first = made(MSSQL, POSTGRES);
const second = made(MSSQL);
const wants = (host: string) => [wantOf("x", host, 1433)];
const { signal } = new AbortController();

/** Processes of the webhook on one cluster, each with a life of its own. */
const setup = () => {
  const cluster = createMemoryCluster();
  const start = () => {
    // A cached table is too old at the next question.
    let time = 0;
    const now = (): number => (time += 60_000);
    const provision = createProvisioner(cluster, { scripts, now, pause: () => Promise.resolve() });
    return {
      ask: (using: Config, host: string, write = true) =>
        provision({ config: using, gateway: gatewayOf(using), wants: wants(host), write, signal: () => signal }),
    };
  };
  const object = (kind: string, name: string): KubeObject => {
    const found = cluster.all().find((each) => each.kind === kind && each.metadata.name === name);
    if (found === undefined) throw new Error(`no ${kind} ${name}`);
    return found;
  };
  const table = () => object("ConfigMap", "flowgen-wireguard-gateway-forwards");
  return {
    cluster,
    start,
    table,
    lines: () => (table()["data"] as { forwards: string }).forwards,
    generations: () => object("Deployment", "flowgen-wireguard-gateway").metadata["generation"],
  };
};

t.test("at equal revisions each process puts its config in force once, then accepts another one", async (t) => {
  const stage = setup();
  const [old, next] = [stage.start(), stage.start()];
  await old.ask(first, MSSQL);
  await old.ask(first, POSTGRES);
  t.equal(stage.lines(), "1433 10.0.0.5 1433 wg0\n1434 10.0.0.6 1433 wg0\n");
  t.match(await next.ask(second, MSSQL), { kind: "assigned" });
  t.equal(stage.lines(), "1433 10.0.0.5 1433 wg0\n", "the revoked target is closed");
  const after = JSON.stringify(stage.cluster.all());
  const late = stage.start();
  t.match(await late.ask(second, MSSQL, false), { kind: "assigned" });
  for (let time = 0; time < 3; time += 1) {
    t.match(await old.ask(first, POSTGRES), { kind: "fail", reason: "superseded" }, "revoked");
    t.match(await old.ask(first, "10.0.0.7"), { kind: "fail", reason: "superseded" }, "new");
    t.match(await old.ask(first, MSSQL), { kind: "assigned" }, "known, and served");
    t.match(await old.ask(first, POSTGRES, false), { reason: "superseded" }, "a dry run");
  }
  t.equal(JSON.stringify(stage.cluster.all()), after, "a process with an older config writes nothing");
  t.match(
    await stage.start().ask(first, POSTGRES),
    { kind: "assigned" },
    "a new process puts its config in force once",
  );
  t.match(await next.ask(second, "10.0.0.7"), { reason: "superseded" });
  t.match(await next.ask(made(MSSQL), "10.0.0.7"), { kind: "assigned" }, "a config that was read again is another one");
});

t.test("a higher revision wins at any time; a lower one never writes", async (t) => {
  const stage = setup();
  const [low, high] = [stage.start(), stage.start()];
  const [three, four] = [configOf(config(3, [MSSQL, POSTGRES])), configOf(config(4, [MSSQL]))];
  await low.ask(three, POSTGRES);
  await high.ask(four, MSSQL);
  t.match(intentIn(stage.table()), { revision: 4, hash: intentOf(four, gatewayOf(four), scripts).hash });
  t.match(await stage.start().ask(three, POSTGRES), { reason: "superseded" }, "in a new process too");
  t.match(await low.ask(configOf(config(5, [MSSQL, POSTGRES])), POSTGRES), { kind: "assigned" }, "after a reload");
  t.match(await high.ask(four, "10.0.0.7"), { reason: "superseded" });
  const same = configOf(config(2, [MSSQL, POSTGRES]));
  t.match(
    await stage.start().ask(same, "10.0.0.6"),
    { kind: "assigned" },
    "the same config under another revision is in force",
  );
  t.match(intentIn(stage.table()), { revision: 5 }, "and the forward stays");
});

t.test("a deleted Service is not given to a pod by a process that may not make it again", async (t) => {
  const stage = setup();
  const [old, next] = [stage.start(), stage.start()];
  await old.ask(first, MSSQL);
  await next.ask(second, MSSQL);
  stage.cluster.remove({ kind: "Service", namespace: "g", name: "flowgen-wireguard-gateway" });
  t.match(await old.ask(first, MSSQL), { reason: "superseded" });
});

t.test("a write without an answer counts, unless the object shows that it did not happen", async (t) => {
  const gateway = gatewayOf(first);
  const [ours, theirs] = [first, second].map((each) => intentOf(each, gatewayOf(each), scripts)) as [Ours, Ours];
  type Ours = ReturnType<typeof intentOf>;
  const read = (intent: Ours, resourceVersion: string): KubeObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: "t",
      namespace: "g",
      uid: "u",
      resourceVersion,
      annotations: { "flowgen.io/revision": "1", "flowgen.io/intent": intent.hash },
    },
  });
  const failing = (code: number) => () =>
    Promise.reject(
      new ClusterError({
        verb: "apply",
        ref: { kind: "ConfigMap", namespace: "g", name: "t" },
        code,
        reason: "x",
        says: "x",
      }),
    );
  const before = read(theirs, "1");
  for (const [code, unchanged, changed] of [
    [0, "due", "behind"],
    [500, "due", "behind"],
    [409, "due", "due"],
    [403, "due", "due"],
  ] as const) {
    const intents = createIntents();
    t.equal(intents.standOf({ config: first, gateway }, ours, before), "due");
    await t.rejects(intents.putInForce({ config: first, gateway }, before, failing(code)));
    t.equal(intents.standOf({ config: first, gateway }, ours, before), unchanged, `${code}, the same object`);
    t.equal(
      intents.standOf({ config: first, gateway }, ours, read(theirs, "2")),
      changed,
      `${code}, another version of it`,
    );
  }
  const intents = createIntents();
  await intents.putInForce({ config: first, gateway }, before, () => Promise.resolve(NEVER));
  t.equal(intents.standOf({ config: first, gateway }, ours, read(ours, "2")), "in-force");
  await t.rejects(intents.putInForce({ config: first, gateway }, read(ours, "2"), failing(409)));
  t.equal(intents.standOf({ config: first, gateway }, ours, read(theirs, "3")), "behind");
});

t.test(
  "a process with an older config neither repairs nor changes the table, and reports that for an admission",
  async (t) => {
    const stage = setup();
    await stage.start().ask(second, MSSQL);
    const provision = createProvisioner(stage.cluster, { scripts });
    const common = { config: first, gateway: gatewayOf(first), wants: [], write: true, signal: () => signal } as const;
    stage.cluster.remove({ kind: "NetworkPolicy", namespace: "g", name: "flowgen-wireguard-gateway" });
    const before = JSON.stringify(stage.cluster.all());
    t.match(await provision({ ...common, repair: "drift" }), { kind: "assigned" });
    t.match(await provision({ ...common, repair: "drift", change: (table) => ({ ...table, forwards: [] }) }), {
      reason: "superseded",
    });
    t.equal(JSON.stringify(stage.cluster.all()), before, "drift is repaired by the config that is in force");
    t.match(await provision({ ...common, repair: "config" }), { kind: "assigned" });
    t.not(JSON.stringify(stage.cluster.all()), before, "a config that came to this process takes its place, once");
    await stage.start().ask(made(MSSQL), MSSQL);
    t.match(await provision({ ...common, repair: "config" }), { kind: "assigned" });
    t.match(intentIn(stage.table()), { hash: intentOf(second, gatewayOf(second), scripts).hash });
  },
);
