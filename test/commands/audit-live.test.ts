/** `audit` of a cluster over an API server in memory; test/cluster/audit-live.test.ts runs on a real one. */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import type { Kind, KubeObject } from "../../src/cluster/cluster.ts";
import type { Report } from "../../src/commands/inject/report.ts";
import { runProgram } from "../../src/commands/program/program.ts";
import { writeKubeconfig, listen, overMemory, reply, status } from "../cluster-port/loopback.ts";
import { setEnv } from "../environment.ts";
import { podOf } from "../making.ts";

const CONFIG = `gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: wg, allowedTargets: [10.0.0.0/8]}]
`;
const API: Readonly<Record<string, string>> = { CronJob: "batch/v1", ConfigMap: "v1", Pod: "v1" };
const object = (kind: Kind, name: string, rest: object, more: object = {}, namespace = "team-a"): KubeObject => ({
  apiVersion: API[kind] ?? "apps/v1",
  kind,
  metadata: { name, namespace, ...more },
  ...rest,
});
const deployment = (name: string, template: object, more: object = {}) =>
  object("Deployment", name, { spec: { template } }, more);

const startCluster = async (t: Test) => {
  const { memory, answer } = overMemory();
  const methods = new Set<string>();
  const forbidden = new Set<string>();
  const server = await listen((request, response) => {
    methods.add(request.method ?? "");
    const plural = [...forbidden].find((each) => (request.url ?? "").includes(`/${each}`));
    if (plural === undefined) answer(request, response);
    else reply(response, 403, status(403, "Forbidden", `you may not list ${plural}`));
  });
  t.teardown(server.close);
  const put = async (...objects: readonly KubeObject[]): Promise<void> => {
    for (const each of objects) await memory.create(each, AbortSignal.timeout(5000));
  };
  const labels = podOf(undefined).metadata.labels ?? {};
  const spec = (env: Readonly<Record<string, string>>, more: object = {}) => ({
    ...podOf(undefined, env).spec,
    ...more,
  });
  await put(
    deployment("good", podOf("db=10.0.0.5:1433", { DB: "10.0.0.5:1433" })),
    deployment("refused", podOf("db=192.168.0.5:1433")),
    deployment("quiet", { metadata: {}, spec: spec({}) }),
    deployment("needs", podOf(undefined, { DB: "10.0.0.7:1433" })),
    object("CronJob", "file", {
      spec: {
        jobTemplate: {
          spec: {
            template: {
              metadata: { labels },
              spec: spec({}, { volumes: [{ name: "c", configMap: { name: "settings" } }] }),
            },
          },
        },
      },
    }),
    object("ConfigMap", "settings", { data: { "a.json": '{"host": "10.0.0.8", "port": 5432}' } }),
    object(
      "ReplicaSet",
      "good-1",
      { spec: { template: podOf("db=192.168.0.5:1433") } },
      { ownerReferences: [{ apiVersion: "apps/v1", kind: "Deployment", name: "good", uid: "u" }] },
    ),
    object(
      "ReplicaSet",
      "rollout-1",
      { spec: { template: podOf("db=10.0.0.9:1433") } },
      { ownerReferences: [{ apiVersion: "argoproj.io/v1alpha1", kind: "Rollout", name: "r", uid: "u" }] },
    ),
    object(
      "Pod",
      "alone",
      { spec: podOf("", { DB: "10.0.0.5:1433" }).spec },
      podOf("db=10.0.0.5:1433").metadata,
      "team-b",
    ),
  );
  const path = writeKubeconfig(t, { server: server.url, "insecure-skip-tls-verify": true });
  const config = join(dirname(path), "config.yaml");
  writeFileSync(config, CONFIG);
  setEnv(t, { ...process.env, KUBECONFIG: path });
  return { memory, methods, config, put, forbid: (plural: string) => forbidden.add(plural) };
};
const audit = async (...args: readonly string[]) => {
  let [out, err] = ["", ""];
  const code = await runProgram(["audit", ...args], {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
  });
  return { code, out, err };
};

t.test("every workload without an owner; nothing is written", async (t) => {
  const { memory, methods, config } = await startCluster(t);
  const before = memory.all();
  const { code, out, err } = await audit("-A", "--suggest", "--config", config, "-o", "json");
  t.equal(code, 1);
  t.strictSame(memory.all(), before);
  t.strictSame([...methods], ["GET"]);
  const report = JSON.parse(out) as Report;
  const found = report.workloads.map(({ workload, outcome, reason, suggestion }) => [
    workload,
    outcome,
    reason,
    suggestion,
  ]);
  t.strictSame(found, [
    ["Deployment team-a/good", "inject", "injected", undefined],
    ["Deployment team-a/needs", "skip", "not-annotated", 'flowgen.io/private-targets: "10.0.0.7:1433"'],
    ["Deployment team-a/refused", "reject", "target-not-allowed", undefined],
    ["ReplicaSet team-a/rollout-1", "inject", "injected", undefined],
    ["CronJob team-a/file", "skip", "not-annotated", 'flowgen.io/private-targets: "10.0.0.8:5432"'],
    ["Pod team-b/alone", "inject", "injected", undefined],
  ]);
  t.match(report.summary, { injected: 3, rejected: 1, others: 3 });
  t.match(report.namespaces, { "team-a": { injected: 2, rejected: 1 }, "team-b": { injected: 1 } });
  t.match(err, /3 injected, 1 rejected, 0 unchanged, 3 workloads that ask for nothing/);
});

t.test("a ConfigMap that an env reads suggests too; a Secret, and what is no pod, do not", async (t) => {
  const { config, put } = await startCluster(t);
  const { metadata, spec } = podOf(undefined);
  const [container] = spec.containers;
  const from = { ...container, envFrom: [{ secretRef: { name: "s" } }, { configMapRef: { name: "settings" } }] };
  await put(
    object(
      "Deployment",
      "env",
      { spec: { template: { metadata, spec: { containers: [from], volumes: [{ name: "v" }] } } } },
      {},
      "team-c",
    ),
    object("Deployment", "empty", { spec: { template: { spec: {} } } }, {}, "team-c"),
    object("ConfigMap", "settings", { data: { "a.json": '{"host": "10.0.0.8", "port": 5432}' } }, {}, "team-c"),
  );
  const report = JSON.parse((await audit("-n", "team-c", "--suggest", "--config", config, "-o", "json")).out) as Report;
  t.match(report.workloads, [
    { workload: "Deployment team-c/env", suggestion: 'flowgen.io/private-targets: "10.0.0.8:5432"' },
  ]);
  t.equal(report.workloads.length, 1);
});

t.test("a table, of one namespace", async (t) => {
  const { config } = await startCluster(t);
  const { code, out } = await audit("-n", "team-b", "--config", config);
  t.equal(code, 0);
  t.match(out, /^Pod team-b\/alone +inject/m);
  t.match(out, /^NAMESPACE +INJECTED[^]*\nteam-b +1 +0/m);
  t.match(await audit("-n", "nobody", "--config", config), { code: 0, out: "", err: /no workload found/ });
});

t.test("a page: it makes no request, and a user's words are data", async (t) => {
  const { config, put } = await startCluster(t);
  await put(deployment("x", podOf('db=10.0.0.5:1433"><script>alert(1)</script>')));
  const { out } = await audit("-A", "--suggest", "--config", config, "-o", "html");
  t.match(out, /^<!doctype html>[^]*<svg [^]*<table id="workloads">[^]*<\/html>\n$/);
  t.notMatch(out, /https?:|src=|<link|@import|url\(/);
  t.match(out, "Content-Security-Policy");
  t.equal(out.match(/<script/g)?.length, 1, "its own");
  t.match(out, "&#60;script&#62;alert");
  t.match((await audit("-n", "nobody", "--config", config, "-o", "html")).out, "No workload reaches a private target");
});

t.test("kinds that may not be listed are named, and the others are read", async (t) => {
  const { config, forbid } = await startCluster(t);
  forbid("cronjobs");
  t.match(await audit("-n", "team-b", "--config", config), {
    code: 2,
    out: /Pod team-b\/alone/,
    err: /you may not list cronjobs/,
  });
  forbid("configmaps/settings");
  t.match(await audit("-A", "--suggest", "--config", config), { code: 2 });
});

t.test("the installation's config, and mistakes", async (t) => {
  const { put } = await startCluster(t);
  t.match(await audit("-A"), { code: 2, err: /the cluster has no installation[^]*name its file with --config/ });
  const name = "flowgen-gateway-webhook";
  await put(object("ConfigMap", `${name}-config-1`, { data: { "config.yaml": CONFIG } }, {}, name));
  t.match(await audit("-n", "team-b"), { code: 0, out: /Pod team-b\/alone/ });
  t.match(await audit(), { code: 2, err: /name them with -f or -k; or a cluster's workloads with -A or -n/ });
  t.match(await audit("-f", "x", "-A"), { code: 2, err: /leave out -f and -k/ });
});
