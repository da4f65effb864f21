import t from "tap";
import { nearMisses } from "../../src/core/near-misses.ts";
import { podOf } from "../making.ts";

const TARGETS = "db=10.0.0.5:1433";
const PUT = "put it on spec.template.metadata.annotations";

t.test("keys that resemble the webhook's", async (t) => {
  const keys: Readonly<Record<string, string>> = {
    "flowgen.io/private-target": "flowgen.io/private-targets",
    "flowgen.io/private_targets": "flowgen.io/private-targets",
    "flowgen.io/gatway": "flowgen.io/gateway",
    "flowgen.io/tunel": "flowgen.io/tunnel",
    "flowgen.io/modus": "flowgen.io/mode",
    "flowgen.io/keepEnv": "flowgen.io/keep-env",
    private_targets: "flowgen.io/private-targets",
    privateTargets: "flowgen.io/private-targets",
    "flowgen.com/private-targets": "flowgen.io/private-targets",
  };
  for (const [key, nearest] of Object.entries(keys))
    t.strictSame(nearMisses(podOf(TARGETS, {}, { [key]: "x" })), [`${key} is not read: did you mean ${nearest}?`]);
  t.strictSame(nearMisses(podOf(TARGETS, {}, { "flowgen.io/something-else": "x" })), [
    "flowgen.io/something-else is not read",
  ]);
});

t.test("other keys, and the webhook's keys at their right place", async (t) => {
  const others = { "prometheus.io/scrape": "true", "checksum/config": "1", "example.com/targets": "x" };
  t.strictSame(nearMisses(podOf(TARGETS, {}, { ...others, "flowgen.io/mode": "audit" })), []);
  t.strictSame(nearMisses(podOf(undefined), { labels: { app: "x" }, annotations: others }), []);
});

t.test("the right key in the wrong place", async (t) => {
  const onWorkload = { annotations: { "flowgen.io/private-targets": TARGETS } };
  t.strictSame(nearMisses(podOf(undefined), onWorkload), [`flowgen.io/private-targets stands on the workload: ${PUT}`]);
  t.strictSame(nearMisses(podOf(TARGETS), onWorkload), [], "on both, as the chart writes it");
  const label = "flowgen.io/private-targets is a label and is not read: write it as an annotation of the pod template";
  const { metadata, spec } = podOf(undefined);
  const labels = { ...metadata.labels, "flowgen.io/private-targets": "db" };
  t.strictSame(nearMisses({ metadata: { ...metadata, labels }, spec }), [label]);
  t.strictSame(nearMisses(podOf(undefined), { labels: { "flowgen.io/private-targets": "db" } }), [label]);
  t.strictSame(nearMisses(podOf(TARGETS), { labels: { "flowgen.io/gateway": "gw" } }), [], "a label of the webhook");
});

t.test("a hostEnv that no container has", async (t) => {
  const text = "- {name: wh, targetHost: 10.0.0.7, targetPort: 1433, hostEnv: WAREHOUSE_SERVR}";
  t.strictSame(nearMisses(podOf(text, { WAREHOUSE_SERVER: "10.0.0.7" })), [
    "wh: no container has the env WAREHOUSE_SERVR, and WAREHOUSE_SERVER holds 10.0.0.7: did you mean it?",
  ]);
  t.strictSame(nearMisses(podOf(text, { OTHER: "10.0.0.71" })), [], "it is added");
  t.strictSame(nearMisses(podOf(text, { WAREHOUSE_SERVR: "10.0.0.7", B: "10.0.0.7" })), []);
});

t.test("a pod without labels, annotations and env, and env without a value", async (t) => {
  t.strictSame(nearMisses({ metadata: {}, spec: { containers: [{ name: "app" }] } }), []);
  t.strictSame(nearMisses({ metadata: {}, spec: { containers: [{ name: "app" }] } }, {}), []);
  const { metadata } = podOf("- {targetHost: 10.0.0.7, targetPort: 1, hostEnv: A}");
  const containers = [{ name: "app", env: [{ name: "B" }, { name: "C", value: "10.0.0.7" }] }];
  t.match(nearMisses({ metadata, spec: { containers, initContainers: [{ name: "init" }] } }), [/C holds 10.0.0.7/]);
  t.strictSame(nearMisses(podOf("not to be read: [")), []);
  const own = { "app.kubernetes.io/managed-by": "flowgen-gateway-webhook" };
  t.strictSame(nearMisses(podOf(undefined, {}, { "flowgen.io/scripts": "1" }), { labels: own }), [], "of a gateway");
});

t.test("multiplied keys, labels and env cost no more than the budget of a pod", async (t) => {
  const list = (length: number): number[] => Array.from({ length }, (_, at) => at);
  const cpuOf = (run: () => readonly string[]): { readonly ms: number; readonly said: readonly string[] } => {
    const start = process.cpuUsage();
    const said = run();
    const { user, system } = process.cpuUsage(start);
    return { ms: (user + system) / 1000, said };
  };
  const annotation = list(100)
    .map((at) => `- {name: t${at}, targetHost: 10.1.0.${at}, targetPort: 1, hostEnv: [N${at}A, N${at}B, N${at}C]}`)
    .join("\n");
  const long = podOf(annotation, { ALL: "x.".repeat(1_500_000) });
  const holders = Object.fromEntries(list(25_000).map((at) => [`E${at}`, `10.1.0.${at % 100}`]));
  const keys = Object.fromEntries(list(60_000).map((at) => [`flowgen.io/private-targ${at}`, ""]));
  const inputs = {
    "many names that no container has, and 3 MB of env": long,
    "many names, and 25,000 env that hold a host": podOf(annotation, holders),
    "60,000 annotations": podOf("db=10.0.0.5:1433", {}, keys),
    "a key of 3 MB": podOf("db=10.0.0.5:1433", {}, { [`flowgen.io/${"a".repeat(3_000_000)}`]: "" }),
  };
  for (const [what, pod] of Object.entries(inputs)) {
    const { ms, said } = cpuOf(() => nearMisses(pod));
    // Ten times the goal, because the machine may be busy.
    t.ok(ms < 500, `${what}: ${Math.round(ms)} ms`);
    t.ok(said.join().length < 100_000, `${what}: ${said.join().length} characters`);
  }
});
