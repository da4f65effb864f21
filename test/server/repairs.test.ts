import { pino } from "pino";
import t from "tap";
import type { Config } from "../../src/core/config/config.ts";
import { ClusterError } from "../../src/cluster/cluster.ts";
import { fail, reject } from "../../src/core/reasons.ts";
import type { Repair } from "../../src/provisioning/request.ts";
import type { Unrepaired } from "../../src/provisioning/provisioner.ts";
import { startRepairs } from "../../src/server/repairs.ts";
import { configOf, gatewayOf } from "../making.ts";
import { until } from "../wait.ts";

const configIn = (mode: Config["mode"]): Config =>
  configOf(`{mode: ${mode}, gateways: [{namespace: ns, name: gw, tunnels: [{name: wg0, secretName: a}]}]}`);

const started = (everyMs: number, answer: () => readonly Unrepaired[] | Promise<readonly Unrepaired[]> = () => []) => {
  const looks: Repair[] = [];
  const lines: { level: number; msg: string; detail?: string }[] = [];
  const results: string[] = [];
  let config = configIn("enforce");
  let isRolling = false;
  const repairs = startRepairs({
    repair: async (_config, how) => {
      looks.push(how);
      return answer();
    },
    config: () => config,
    everyMs,
    isRolling: () => isRolling,
    log: pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]) }),
    metrics: { repair: (result) => void results.push(result) },
  });
  t.teardown(repairs.stop);
  return {
    repairs,
    looks,
    lines,
    results,
    use: (mode: Config["mode"]) => (config = configIn(mode)),
    roll: (is: boolean) => (isRolling = is),
  };
};

t.test("a look at once, one when the config changes, and one at every interval", async (t) => {
  const { repairs, looks, results } = started(40);
  await until("three looks", () => looks.length >= 3);
  t.strictSame(looks.slice(0, 3), ["config", "drift", "drift"]);
  repairs.now();
  await until("another config", () => looks.filter((how) => how === "config").length === 2);
  t.ok(results.every((result) => result === "kept"));
  repairs.stop();
  const { length } = looks;
  await new Promise((resolve) => setTimeout(resolve, 120));
  t.equal(looks.length, length, "none after the end");
});

t.test("a config that changes during a look is looked at right after it", async (t) => {
  let end: (value: readonly Unrepaired[]) => void = () => undefined;
  const { repairs, looks } = started(60_000, () => new Promise((resolve) => (end = resolve)));
  await until("the first look", () => looks.length === 1);
  repairs.now();
  repairs.now();
  t.equal(looks.length, 1, "one at a time");
  end([]);
  await until("the second look", () => looks.length === 2);
  end([]);
  t.strictSame(looks, ["config", "config"]);
});

t.test("nothing is looked at in mode audit, until the mode changes", async (t) => {
  const webhook = started(10);
  webhook.use("audit");
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.strictSame(webhook.looks, []);
  webhook.use("enforce");
  await until("a look", () => webhook.looks.length > 0);
});

t.test("a gateway that cannot be repaired is logged once for each reason, and counted each time", async (t) => {
  const gateway = gatewayOf(configIn("enforce"));
  let why = reject("object-unmanaged", "Service ns/gw");
  const { looks, lines, results } = started(10, () => [{ gateway, why }]);
  await until("three looks", () => looks.length >= 3);
  t.match(lines, [
    { level: 50, msg: "gateway not kept", gateway: "ns/gw", reason: "object-unmanaged", detail: /Service ns\/gw/ },
  ]);
  t.equal(lines.length, 1);
  why = reject("table-invalid", "ConfigMap ns/gw-forwards");
  await until("the other reason", () => lines.length === 2);
  t.strictSame([...new Set(results)], ["object-unmanaged", "table-invalid"]);
});

t.test("a refusal of the API server and a newer format have reasons of their own", async (t) => {
  const gateway = gatewayOf(configIn("enforce"));
  const ref = { kind: "Service", namespace: "ns", name: "gw" } as const;
  const refused = new ClusterError({ verb: "apply", ref, code: 403, reason: "Forbidden", says: "no" });
  const { lines, results } = started(60_000, () => [
    { gateway, why: refused },
    { gateway, why: fail("format-newer", "format 9") },
  ]);
  await until("both", () => lines.length === 2);
  t.match(lines, [
    { reason: "api-error", detail: "cannot apply services ns/gw: no (403 Forbidden)" },
    { reason: "format-newer", detail: "format 9" },
  ]);
  t.strictSame(results, ["api-error", "format-newer"]);
});

t.test("an end during a look, and a change after the end, begin no other", async (t) => {
  let end: (value: readonly Unrepaired[]) => void = () => undefined;
  const { repairs, looks } = started(1, () => new Promise((resolve) => (end = resolve)));
  await until("the look", () => looks.length === 1);
  repairs.stop();
  end([]);
  repairs.now();
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.strictSame(looks, ["config"]);
});

t.test("a fault of the program is logged and ends nothing", async (t) => {
  const { looks, lines } = started(10, () => Promise.reject(new Error("a bug")));
  await until("three looks", () => looks.length >= 3);
  t.match(lines[0], { level: 50, err: { message: "a bug" } });
});

t.test("while Deployments are changed one after another the next look is soon", async (t) => {
  const { repairs, looks, roll } = started(3_600_000);
  roll(true);
  await until("a look that nobody asked for", () => looks.length === 2, 10_000);
  t.strictSame(looks, ["config", "drift"]);
  repairs.stop();
});

t.test("a gateway that starts between two looks is looked at soon", async (t) => {
  const { repairs, looks } = started(3_600_000);
  await until("the first look", () => looks.length === 1);
  await new Promise((resolve) => setImmediate(resolve)); // the next one is planned
  repairs.soon();
  repairs.soon();
  await until("a look before its time", () => looks.length === 2, 10_000);
  t.strictSame(looks, ["config", "drift"]);
  repairs.stop();
});
