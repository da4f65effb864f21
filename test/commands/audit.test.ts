import { readFileSync } from "node:fs";
import t, { type Test } from "tap";
import { audit, type AuditOptions } from "../../src/commands/audit/audit.ts";
import { files, GATEWAY_HOST, namedPod } from "./injecting.ts";

const EXAMPLES = readFileSync(new URL("../../examples/flowgen-deployments.yaml", import.meta.url), "utf8");

const audited = async (t: Test, text: string, output: AuditOptions["output"], config?: string, more = {}) => {
  let [out, err] = ["", ""];
  const code = await audit(
    { ...files(t, text, config), output, ...more },
    { out: (text: string) => void (out += text), err: (text: string) => void (err += text) },
  );
  t.notMatch(out + err, /s3cret/, "no password");
  return { code, out, err };
};

const pod = (name: string, targets: string, more = "", env = ""): string =>
  `---\nkind: Pod\nmetadata: {name: ${name}, labels: {app.kubernetes.io/name: flowgen}, annotations: {flowgen.io/private-targets: "${targets}"${more}}}\nspec: {containers: [{name: c, env: [${env}]}]}\n`;

const WAREHOUSE = "flowgen-wireguard-gateway-10-0-0-7-a5b5a561.flowgen-gateway.svc";

t.test("table", async (t) => {
  const { code, out } = await audited(t, EXAMPLES, "table");
  t.equal(code, 1, "one would be rejected");
  const lines = out.split("\n");
  t.equal(lines[0], "WORKLOAD                           OUTCOME  REASON            WHERE");
  t.match(lines[1], /^Deployment team-a\/flowgen {10}inject {3}injected {10}\/.*stream.yaml:17$/);
  t.equal(lines[2], `  target mssql     10.0.0.5:1433  →  ${GATEWAY_HOST}:1433`);
  t.equal(lines[3], `  target postgres  10.0.0.6:5432  →  ${GATEWAY_HOST}:5432`);
  t.match(out, /^ {2}env {4}DATABASE_URL +set +\(container flowgen\)$/m);
  t.match(
    out,
    `  target warehouse  10.0.0.7:1433  →  ${WAREHOUSE}:1433`,
    "a Service of its own for a second server on the port",
  );
  t.match(
    out,
    /^Deployment team-b\/flowgen-curious +reject +target-forbidden .*:74\n {2}flowgen.io\/private-targets\[0\]: 169/m,
  );
  t.match(out, /^Deployment team-a\/flowgen-careful +audit +would-inject .*\n {2}target ftp /m);
  t.notMatch(out, /audit: /, "the row says it already");
  t.notOk(lines.some((line) => line.endsWith(" ")));
});

t.test("JSON", async (t) => {
  const { out } = await audited(t, EXAMPLES, "json");
  const { workloads: rows } = JSON.parse(out) as { workloads: Record<string, unknown>[] };
  t.strictSame(
    rows.map(({ workload, outcome, reason }) => [workload, outcome, reason]),
    [
      ["Deployment team-a/flowgen", "inject", "injected"],
      ["Deployment team-b/flowgen-reports", "inject", "injected"],
      ["Deployment team-b/flowgen-curious", "reject", "target-forbidden"],
      ["Deployment team-a/flowgen-careful", "audit", "would-inject"],
    ],
  );
  const [, reports, curious] = rows;
  t.match(reports, {
    gateway: "flowgen-gateway/flowgen-wireguard-gateway",
    targets: [
      { name: "mssql", target: "10.0.0.5:1433", assignment: `${GATEWAY_HOST}:1433` },
      { name: "warehouse", target: "10.0.0.7:1433", assignment: `${WAREHOUSE}:1433` },
    ],
    warnings: { length: 0 },
  });
  const env = (reports?.["env"] as { name: string; container: string; change: string }[]).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  t.strictSame(env, [
    { container: "flowgen", name: "MSSQL_URL", change: "set" },
    { container: "flowgen", name: "WAREHOUSE_PORT", change: "added" },
    { container: "flowgen", name: "WAREHOUSE_SERVER", change: "added" },
  ]);
  t.match(curious, { message: /link-local/, targets: { length: 0 }, env: { length: 0 } });
});

t.test("servers on one port across workloads keep it, each at a Service of its own", async (t) => {
  const { code, out } = await audited(t, [5, 6, 7].map((n) => pod(`p${n}`, `db=10.0.0.${n}:1433`)).join(""), "json");
  t.equal(code, 0);
  const { workloads: rows } = JSON.parse(out) as { workloads: { targets: { assignment: string }[] }[] };
  const [first, ...others] = rows.map(({ targets }) => targets[0]?.assignment);
  t.equal(first, `${GATEWAY_HOST}:1433`);
  for (const [index, other] of others.entries())
    t.match(
      other,
      new RegExp(`^flowgen-wireguard-gateway-10-0-0-${6 + index}-[0-9a-f]{8}\\.flowgen-gateway\\.svc:1433$`),
    );
});

t.test("a Service that does not exist yet is shown with a stand-in for its address", async (t) => {
  const { code, out } = await audited(t, namedPod("sql.corp.example.com"), "table");
  t.equal(code, 0);
  t.match(out, /^Pod team-a\/led +inject +injected/m);
  t.match(out, /^ {2}warning: sql: 192\.0\.2\.1 stands for the address that its Service gets/m);
});

t.test("modes: a pod's own counts, the config's does not", async (t) => {
  const config = readFileSync(new URL("../../examples/webhook-config.yaml", import.meta.url), "utf8");
  const text =
    pod("a", "db=10.0.0.5:1433") +
    pod("b", "db=127.0.0.1:1", ", flowgen.io/mode: audit") +
    pod("c", "db=10.0.0.5:1433", ", flowgen.io/mode: disabled");
  const { code, out } = await audited(t, text, "table", config.replace("mode: enforce", "mode: audit"));
  t.equal(code, 0, "a pod in audit mode is never rejected");
  t.match(out, /^Pod team-a\/a +inject +injected .*:3$/m);
  t.match(out, /^Pod team-a\/b +audit +target-forbidden .*\n {2}flowgen.io\/private-targets\[0\]: 127/m);
  t.match(out, /^Pod team-a\/c +skip +disabled .*$/m);
});

t.test("passwords stay out of every kind of answer", async (t) => {
  const env = `{name: A, value: "postgres://u:s3cret@10.0.0.5:1433/x"}, {name: B, value: "mongodb+srv://u:s3cret@10.0.0.5/x"}`;
  const texts = [
    pod("a", "db=10.0.0.5:1433", "", env),
    pod("b", "db=u:s3cret@10.0.0.5:1433"),
    pod("c", "db=10.0.0.9:1433", ", flowgen.io/mode: audit", env),
    pod("d", "db=10.0.0.9:1433", "", `{name: DB_HOST, value: s3cret}`),
  ];
  for (const text of texts) for (const output of ["table", "json"] as const) await audited(t, text, output);
});

t.test("warnings, and a stream without workloads", async (t) => {
  const { out } = await audited(t, pod("a", "db=10.0.0.5:1433", "", "{name: DB_HOST, value: other}"), "table");
  t.match(out, /^ {2}warning: db: DB_HOST has another value/m);
  const says = "no workload found (0 documents of other kinds)\n";
  t.strictSame(await audited(t, "", "table"), { code: 0, out: "", err: says });
  t.match(JSON.parse((await audited(t, "kind: Service\n", "json")).out), {
    version: 1,
    workloads: { length: 0 },
    summary: { injected: 0, others: 1 },
  });
});
