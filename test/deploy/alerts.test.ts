// Each alert, by Prometheus' own unit tests of rules: when it fires, and that it is silent when all is well.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import t from "tap";
import { parse } from "yaml";
import { findPromtool } from "../lab/control-plane/programs.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const rules = read("deploy/grafana/alerts.yaml");
const cases = read("test/fixtures/alerts.test.yaml");
const promtool = await findPromtool();

/**
 * The output of promtool for the cases with these rules, and whether all hold. Summaries and runbooks are not compared.
 */
const play = async (alerts: string): Promise<{ readonly isGood: boolean; readonly said: string }> => {
  const { groups } = parse(alerts) as { groups: { rules: { annotations?: object }[] }[] };
  for (const rule of groups.flatMap((group) => group.rules)) delete rule.annotations;
  const folder = t.testdir({ "alerts.yaml": JSON.stringify({ groups }), "cases.yaml": cases });
  try {
    const { stdout, stderr } = await promisify(execFile)(promtool, ["test", "rules", "cases.yaml"], { cwd: folder });
    return { isGood: true, said: stdout + stderr };
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    return { isGood: false, said: stdout + stderr };
  }
};

t.test("the rules are valid, templates of their annotations included", async (t) => {
  const folder = t.testdir({ "alerts.yaml": rules });
  const { stdout } = await promisify(execFile)(promtool, ["check", "rules", "--lint-fatal", `${folder}/alerts.yaml`]);
  const { groups } = parse(rules) as { groups: { rules: object[] }[] };
  t.match(stdout, `SUCCESS: ${groups.flatMap((group) => group.rules).length} rules found`);
});

t.test("every alert fires when it should, and only then", async (t) => {
  const { isGood, said } = await play(rules);
  t.ok(isGood, said);
});

t.test("a rule with another expression is noticed", async (t) => {
  for (const [from, to] of [
    [">= 0.8", ">= 0.9"],
    ["7 * 86400", "6 * 86400"],
    ['reason="not-flowgen"', 'reason="disabled"'],
    ["tunnel_up == 0", "tunnel_up == 1"],
    ['address="(none)"', 'address="-"'],
    ['reason!="tunnel"', 'reason!="name"'],
    ['cause!~"reset|limit"', 'cause!~"limit"'],
  ] as const)
    t.notOk((await play(rules.replace(from, to))).isGood, to);
});

t.test("every alert has cases of both kinds", async (t) => {
  const { groups } = parse(rules) as { groups: { rules: { alert: string }[] }[] };
  type Case = { alertname: string; exp_alerts?: object[] };
  const { tests } = parse(cases) as { tests: { alert_rule_test: Case[] }[] };
  const asked = tests.flatMap(({ alert_rule_test }) => alert_rule_test);
  for (const { alert } of groups.flatMap((group) => group.rules)) {
    const of = asked.filter(({ alertname }) => alertname === alert);
    t.ok(
      of.some(({ exp_alerts }) => exp_alerts !== undefined),
      `${alert} fires`,
    );
    t.ok(
      of.some(({ exp_alerts }) => exp_alerts === undefined),
      `${alert} is silent`,
    );
  }
});
