import t from "tap";
import { certificateFailures } from "../../src/certificates/reasons.ts";
import { reasons } from "../../src/core/reasons.ts";
import { createMetrics } from "../../src/server/metrics/metrics.ts";

const lines = async (metrics: ReturnType<typeof createMetrics>): Promise<readonly string[]> =>
  (await metrics.registry.metrics()).split("\n");

t.test("a series exists before its first event: increase() sees that event", async (t) => {
  const born = await lines(createMetrics("1.2.3"));
  for (const [reason, { outcome }] of Object.entries(reasons)) {
    for (const each of outcome === "reject" ? ["reject", "audit"] : [outcome])
      t.ok(
        born.includes(`flowgen_gateway_admissions_total{outcome="${each}",reason="${reason}"} 0`),
        `${each} ${reason}`,
      );
  }
  for (const reason of Object.keys(certificateFailures))
    t.ok(born.includes(`flowgen_gateway_certificate_failures_total{reason="${reason}"} 0`), reason);
  t.ok(born.includes('flowgen_gateway_build_info{version="1.2.3"} 1'));
});

t.test("a time that is not known has no series: 0 would be 1970", async (t) => {
  const metrics = createMetrics("1");
  t.strictSame(
    (await lines(metrics)).filter((line) => /^flowgen.*timestamp_seconds/.test(line)),
    [],
  );
  metrics.certificateExpiry(1_800_000_000);
  t.ok((await lines(metrics)).includes("flowgen_gateway_certificate_expiry_timestamp_seconds 1800000000"));
});

t.test("a cold start: until the process served, and how long its first admission took", async (t) => {
  const metrics = createMetrics("1");
  const told = async (): Promise<readonly string[]> =>
    (await lines(metrics)).filter((line) => /^flowgen_gateway_(start|first_admission)_duration/.test(line));
  t.strictSame(await told(), []);
  metrics.serving(0.25);
  for (const seconds of [0.125, 0.001]) metrics.admission({ outcome: "inject", reason: "injected" }, "a", seconds);
  t.strictSame(await told(), [
    "flowgen_gateway_start_duration_seconds 0.25",
    "flowgen_gateway_first_admission_duration_seconds 0.125",
  ]);
});

t.test("the config's mode, and the time since which it is in force", async (t) => {
  const metrics = createMetrics("1");
  metrics.config("audit", 1_700_000_000_000);
  metrics.config("enforce", 1_700_000_005_000);
  t.strictSame(
    (await lines(metrics)).filter((line) => line.startsWith("flowgen_gateway_config")),
    ['flowgen_gateway_config_info{mode="enforce"} 1', "flowgen_gateway_config_timestamp_seconds 1700000005"],
  );
});

t.test("rejections are counted by namespace, the first hundred of them", async (t) => {
  const metrics = createMetrics("1");
  const admission = { outcome: "reject", reason: "target-not-allowed" } as const;
  for (let at = 0; at < 150; at += 1) metrics.admission(admission, `team-${at}`, 0.001);
  metrics.admission(admission, "team-0", 0.001);
  metrics.admission({ outcome: "skip", reason: "not-flowgen" }, "quiet", 0.001);
  const samples = (await lines(metrics)).filter((line) => line.startsWith("flowgen_gateway_rejections_total{"));
  t.equal(samples.length, 101);
  t.ok(samples.includes('flowgen_gateway_rejections_total{namespace="team-0",reason="target-not-allowed"} 2'));
  t.ok(samples.includes('flowgen_gateway_rejections_total{namespace="other",reason="target-not-allowed"} 50'));
});

t.test("gateways of namespaces that came and went are dropped", async (t) => {
  const metrics = createMetrics("1");
  const samples = async (name: string): Promise<string[]> =>
    (await metrics.registry.metrics()).match(new RegExp(`^${name}\\{.*$`, "gm")) ?? [];
  for (let count = 0; count < 3000; count += 1) {
    metrics.forwards(`team-${count}/gw`, 1, 200);
    metrics.conflict(`team-${count}/gw`);
    metrics.forwards("stays/gw", count, 200);
  }
  for (const name of ["flowgen_gateway_forwards", "flowgen_gateway_table_conflicts_total"]) {
    const found = await samples(name);
    t.ok(found.length <= 1000, `${found.length} of ${name}`);
    t.match(found.at(-1), /team-2999|stays/);
  }
  t.match((await samples("flowgen_gateway_forwards")).join(), /stays\/gw"\} 2999/);
});
