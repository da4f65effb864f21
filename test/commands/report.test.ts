/**
 * The output of `inject` and `audit`: summary, exit codes, JSON by its schema, colours, progress, and never a password.
 */
import t, { type Test } from "tap";
import { account } from "../../src/commands/audit/audit.ts";
import { inject, type InjectOptions } from "../../src/commands/inject/inject.ts";
import { masked } from "../../src/commands/inject/masked.ts";
import type { Output } from "../../src/commands/options/output.ts";
import { report } from "../../src/commands/inject/report.ts";
import { emptyTally, tallyText } from "../../src/commands/inject/tally.ts";
import { deployment, files, GATEWAY_HOST, injected, other, TARGETS_LINE, workload } from "./injecting.ts";

const withEnv = (env: string): string => deployment.replace(/^( +)- name: DB_HOST$/m, `$1- ${env}\n$&`);
const SECRETS = withEnv(`{ name: DB_URL, value: "postgres://app:s3cret@10.0.0.5:1433/x?password=s3cret" }`).replace(
  /^( +)- name: DB_HOST$/m,
  `$1- { name: DB_PASSWORD, value: "s3cret 10.0.0.5" }\n$&`,
);

const printed = async (t: Test, text: string, options: Partial<InjectOptions> = {}, terminal: Partial<Output> = {}) => {
  let [out, err] = ["", ""];
  const code = await inject(
    { ...files(t, text), output: "manifests", gateway: false, ...options },
    { out: (more: string) => void (out += more), err: (more: string) => void (err += more), ...terminal },
  );
  return { code, out, err };
};

t.test("--diff: each changed env, masked", async (t) => {
  const { out, err } = await printed(t, SECRETS, { diff: true });
  t.match(err, `stream.yaml:10: Deployment team-a/x: env DB_HOST (container app): 10.0.0.5 → ${GATEWAY_HOST}\n`);
  t.match(
    err,
    `env DB_URL (container app): postgres://***@10.0.0.5:1433/x?password=*** → postgres://***@${GATEWAY_HOST}:1433/x?password=***\n`,
  );
  t.notMatch(err, "s3cret");
  t.match(out, "s3cret", "the manifests keep theirs");
  const json = await printed(t, SECRETS, { diff: true, output: "json" });
  t.match(json.out, /"before": "10.0.0.5"/);
  t.notMatch(json.out + (await printed(t, SECRETS, { diff: true, output: "table" })).out, "s3cret");
  const from = deployment
    .replace("value: 10.0.0.5", "valueFrom: { secretKeyRef: { name: a, key: b } }")
    .replace("1433", "1433")
    .replace(
      TARGETS_LINE,
      `flowgen.io/private-targets: '[{"targetHost":"10.0.0.5","targetPort":1433,"hostEnv":"DB_HOST"}]'`,
    );
  t.match((await printed(t, from, { diff: true })).err, `DB_HOST (container app): (from elsewhere) → ${GATEWAY_HOST}`);
});

t.test("-o json fits the schema for any input", async (t) => {
  const bad = deployment.replace("db=10.0.0.5:1433", "db=127.0.0.1:1");
  const text = `${deployment}---\n${bad}---\nkind: Service\n---\na: [\n---\n${other}`;
  for (const options of [{}, { diff: true }] as const) {
    const { code, out } = await printed(t, text, { output: "json", ...options });
    t.equal(code, 2);
    const read = report.parse(JSON.parse(out));
    t.match(read, {
      version: 1,
      workloads: { length: 3 },
      unreadable: [/stream.yaml:\d+: not YAML/],
      summary: { injected: 2, rejected: 1, unchanged: 0, others: 1, unreadable: 1 },
    });
    t.match(read.workloads[1], { outcome: "reject", where: /stream.yaml:29$/, message: /loopback/ });
  }
});

t.test("--fail-on warning", async (t) => {
  const warned = deployment.replace("value: 10.0.0.5", "value: elsewhere");
  t.equal((await printed(t, warned)).code, 0);
  t.equal((await printed(t, warned, { failOn: "warning" })).code, 1);
  t.equal((await printed(t, deployment, { failOn: "warning" })).code, 0);
  const audited = deployment.replace(TARGETS_LINE, `${TARGETS_LINE}\n        flowgen.io/mode: audit`);
  t.equal((await printed(t, audited, { failOn: "warning" })).code, 0, "the account of audit mode is no warning");
});

t.test("the summary", async (t) => {
  const audited = deployment.replace(TARGETS_LINE, `${TARGETS_LINE}\n        flowgen.io/mode: audit`);
  const plain = deployment.replace(/^.*private-targets.*\n/m, "");
  const { err } = await printed(t, [deployment, audited, plain, "kind: A\n", "kind: B\n"].join("---\n"));
  t.match(err, /^1 injected, 0 rejected, 1 unchanged, 2 documents of other kinds, 1 in audit mode$/m);
  t.equal(tallyText({ ...emptyTally(), others: 1 }), "no workload found (1 document of another kind)");
  t.equal(
    tallyText({ ...emptyTally(), failed: 1, warnings: 1, unreadable: 2 }),
    "0 injected, 0 rejected, 0 unchanged, 0 documents of other kinds, 1 failed, 1 warning, 2 not read",
  );
  t.end();
});

t.test("colours and progress are for terminals", async (t) => {
  const bad = deployment.replace("db=10.0.0.5:1433", "db=127.0.0.1:1");
  const colours = { out: true, err: true };
  t.match((await printed(t, bad, {}, { colours })).err, "\u001b[31mrejected\u001b[39m");
  t.match((await printed(t, bad, { output: "table" }, { colours })).out, /\u001b\[31mDeployment team-a\/x +reject/);
  t.notMatch((await printed(t, bad, { output: "table" })).out, "\u001b");
  // A document at a time, each later than the last look at the clock.
  const now = performance.now.bind(performance);
  let ms = 0;
  performance.now = () => (ms += 150);
  t.teardown(() => (performance.now = now));
  const { err } = await printed(t, `${bad}---\n${other}---\n${other}`, {}, { isWatched: true });
  t.match(err, "\r2 documents\r3 documents\r\u001b[Kno --cluster");
  t.ok(err.endsWith("\n"));
});

t.test("a document whose change has no place in its text is written anew, which is said", async (t) => {
  const odd = deployment.replace("kind: Deployment", "kind: Deployment # c\n? [x]\n: y");
  const { code, out, err } = await injected(t, odd);
  t.equal(code, 0);
  t.match(out, "flowgen.io/gateway-status");
  t.notMatch(out, "# c");
  t.match(err, /^stream.yaml:1: warning: a part of the document is written anew, and comments in it are lost\n$/);
  t.equal((await injected(t, deployment.replace("kind: Deployment", "kind: Deployment # c"))).err, "");
});

t.test("any object with a pod template is read; others pass", async (t) => {
  const template = (path: readonly string[], apiVersion: string, kind: string): string =>
    workload(kind, path, apiVersion);
  const read = [
    template(["spec", "template"], "argoproj.io/v1alpha1", "Rollout"),
    template(["spec", "template"], "serving.knative.dev/v1", "Service").replace("- name: app\n", "- image: x\n"),
    template(["spec", "jobTargetRef", "template"], "keda.sh/v1alpha1", "ScaledJob"),
    template(["spec", "podTemplate"], "x.example.com/v1", "Thing"),
  ];
  for (const text of read) {
    const { code, out, err } = await injected(t, text);
    t.strictSame([code, err], [0, ""]);
    t.match(out, `value: ${GATEWAY_HOST}`, text.slice(0, 60));
  }
  const untouched = [
    template(["data", "spec", "template"], "apps/v1", "ControllerRevision"),
    "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {templates: [{container: {}}], template: {spec: {containers: none}}}\n",
  ];
  for (const text of untouched) t.strictSame(await injected(t, text), { code: 0, out: text, err: "" });
});

t.test("two templates of one object", async (t) => {
  const json = JSON.stringify;
  const pod = {
    metadata: {
      labels: { "app.kubernetes.io/name": "flowgen" },
      annotations: { "flowgen.io/private-targets": "db=10.0.0.5:1433" },
    },
    spec: { containers: [{ name: "a", env: [{ name: "H", value: "10.0.0.5" }] }] },
  };
  const jobs = [{ template: { spec: { template: pod } } }, { template: { spec: { template: pod } } }];
  const { out } = await injected(
    t,
    json({
      apiVersion: "jobset.x-k8s.io/v1alpha2",
      kind: "JobSet",
      metadata: { name: "j" },
      spec: { replicatedJobs: jobs },
    }),
  );
  t.equal(out.split("gateway-status").length, 3);
});

t.test("masked", (t) => {
  const MASKED: readonly (readonly [value: string, shown: string])[] = [
    ["a://u:p@h:1/x,b://v:q@i", "a://***@h:1/x,b://***@i"],
    ["amqp://u:p@h1,amqp://u:p@h2", "amqp://***@h1,amqp://***@h2"],
    ["https://t0ken@h/x", "https://***@h/x"],
    ["postgres://u:p/w@h:1/x", "postgres://***@h:1/x"],
    ["postgres://u:p@w@h:1/x", "postgres://***@h:1/x"],
    ["http://h:80/x?y=a@b", "http://h:80/x?y=a@b"],
    ["http://h:80/x?password=p&y=z", "http://h:80/x?password=***&y=z"],
    ["Server=h;Password='a;b';Pwd = x y;User=y", "Server=h;Password=***;Pwd = ***;User=y"],
    ["host=h password=x port=1", "host=h password=*** port=1"],
    ['{"host": "h", "db_password": "a\\"b", "port": 1}', '{"host": "h", "db_password": ***, "port": 1}'],
    ["--host h --password p --port 1", "--host h --password *** --port 1"],
    ["host: h, apiKey: p, port: 1", "host: h, apiKey: ***, port: 1"],
    ["u:p@tcp(h:3306)/db", "***@tcp(h:3306)/db"],
    ["jdbc:oracle:thin:scott/tiger@//h:1521/x", "jdbc:oracle:thin:***@//h:1521/x"],
    [
      "Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=b=",
      "Endpoint=sb://h/;SharedAccessKeyName=***;SharedAccessKey=***",
    ],
    ["10.0.0.5:1433", "10.0.0.5:1433"],
    ["x".repeat(3000), "(a long value)"],
  ];
  for (const [value, shown] of MASKED) t.equal(masked(value), shown, value.slice(0, 60));
  t.end();
});

t.test("account: a table of nothing is empty", async (t) => {
  let out = "";
  const output = { out: (more: string) => void (out += more), err: () => undefined };
  t.equal(await account({ ...files(t, "kind: A\n"), output: "table" }, output, "audit"), 0);
  t.equal(out, "");
});
