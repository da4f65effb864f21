import t from "tap";
import { createMetrics } from "../../src/server/metrics.ts";

t.test("gateways of namespaces that came and went have no metrics for ever", async (t) => {
  const metrics = createMetrics();
  const samples = async (name: string): Promise<string[]> =>
    (await metrics.registry.metrics()).match(new RegExp(`^${name}\\{.*$`, "gm")) ?? [];
  for (let count = 0; count < 3000; count += 1) {
    metrics.forwards(`team-${count}/gw`, 1);
    metrics.conflict(`team-${count}/gw`);
    metrics.forwards("stays/gw", count);
  }
  for (const name of ["flowgen_gateway_forwards", "flowgen_gateway_table_conflicts_total"]) {
    const found = await samples(name);
    t.ok(found.length <= 1000, `${found.length} of ${name}`);
    t.match(found.at(-1), /team-2999|stays/);
  }
  t.match((await samples("flowgen_gateway_forwards")).join(), /stays\/gw"\} 2999/);
});
