/**
 * The dashboard and the alerts ask in PromQL that parses, for metrics that the webhook or a gateway's pod exports, and
 * some of kube-state-metrics.
 */
import { readFileSync } from "node:fs";
import { parser } from "@prometheus-io/lezer-promql";
import t from "tap";
import { parse } from "yaml";
import { createMetrics } from "../src/server/metrics/metrics.ts";
import { root } from "./program.ts";

type Panel = { id: number; title: string; targets: { expr: string }[]; fieldConfig: object };
type Dashboard = { panels: Panel[] };
type Alerts = {
  groups: { rules: { alert: string; expr: string; annotations: { summary: string; runbook_url: string } }[] }[];
};

const dashboard = JSON.parse(readFileSync(`${root}/deploy/grafana/dashboard.json`, "utf8")) as Dashboard;
const alerts = parse(readFileSync(`${root}/deploy/grafana/alerts.yaml`, "utf8")) as Alerts;
const queries = [
  ...dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
  ...alerts.groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => [alert, expr] as const)),
];

/** Grafana puts its variables in before Prometheus reads the text. */
const filled = (expr: string): string =>
  expr.replaceAll(/\$__(rate_interval|range)/g, "5m").replaceAll(/\$(job|gateway)/g, "x");

/** The metrics and the labels of selectors that a query names. Undefined: it does not parse. */
const named = (expr: string): { metrics: string[]; labels: string[] } | undefined => {
  const found = { metrics: [] as string[], labels: [] as string[] };
  const errors: number[] = [];
  parser.parse(expr).iterate({
    enter: ({ type, from, to, node }) => {
      if (type.isError) errors.push(from);
      if (type.name === "Identifier" && node.parent?.name === "VectorSelector")
        found.metrics.push(expr.slice(from, to));
      if (type.name === "LabelName") found.labels.push(expr.slice(from, to));
    },
  });
  return errors.length === 0 ? found : undefined;
};

/** Metrics of other exporters: https://github.com/kubernetes/kube-state-metrics/tree/main/docs/metrics/workload */
const OTHERS = [
  "kube_deployment_status_replicas_available",
  "kube_deployment_created",
  "kube_pod_annotations",
  "kube_pod_labels",
];
/** Those of the gateway's pod, by the script that writes them. */
const ofPods = [...readFileSync(`${root}/src/gateway/metrics.sh`, "utf8").matchAll(/metric\("([a-z_]+)", "/g)].map(
  ([, name = ""]) => `flowgen_gateway_${name}`,
);
const exported = (await createMetrics("0").registry.getMetricsAsJSON()).flatMap(({ name, type }) =>
  String(type) === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
);
const known = [...exported, ...ofPods, ...OTHERS];

t.test("the parser refuses a faulty query", async (t) => {
  t.strictSame(named('sum by (b) (rate(a{b="c"}[5m]))'), { metrics: ["a"], labels: ["b", "b"] });
  for (const bad of ["sum by (a (b)", "rate(a[5x])", "a{b=c}"]) t.equal(named(bad), undefined, bad);
});

for (const [name, expr] of queries) {
  t.test(name, async (t) => {
    const found = named(filled(expr));
    t.ok(found, `parses: ${expr}`);
    t.ok(found?.metrics.length, "asks for a metric");
    for (const metric of found?.metrics ?? []) t.ok(known.includes(metric), `${metric} is exported`);
  });
}

t.test("the panel of memory and CPU shows both, each in its unit", async (t) => {
  const panel = dashboard.panels.find(({ title }) => /memory and cpu/i.test(title));
  const shown = panel?.targets.map(({ expr }) => named(filled(expr))?.metrics[0]);
  t.strictSame(shown, ["process_resident_memory_bytes", "process_cpu_seconds_total"]);
  t.match(panel?.fieldConfig, {
    defaults: { unit: "bytes" },
    overrides: [{ matcher: { options: "B" }, properties: [{ id: "unit", value: "short" }] }],
  });
});

t.test("every metric of the webhook's own, and of the gateway's pod, is shown", async (t) => {
  const shown = queries
    .flatMap(([, expr]) => named(filled(expr))?.metrics ?? [])
    .map((name) => name.replace(/_bucket$/, ""));
  t.ok(ofPods.length > 10, "metrics of the pod were found");
  for (const name of ofPods) t.ok(shown.includes(name), name);
  for (const { name } of await createMetrics("0").registry.getMetricsAsJSON())
    if (name.startsWith("flowgen_gateway_")) t.ok(shown.includes(name), name);
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length, "panels have ids of their own");
});

t.test("the runbook of every alert is a section of the operations page", async (t) => {
  const page = readFileSync(`${root}/docs/operations.md`, "utf8");
  const sections = [...page.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^a-z0-9 -]/g, "")
      .replaceAll(" ", "-"),
  );
  for (const { alert, annotations } of alerts.groups.flatMap(({ rules }) => rules)) {
    const [url, section] = annotations.runbook_url.split("#");
    t.match(url, /docs\/operations\.md$/, alert);
    t.ok(sections.includes(section ?? ""), `${alert}: ${section ?? ""}`);
  }
});
