import { readFileSync, writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import { inject } from "../../src/commands/inject/inject.ts";
import {
  CONFIG,
  deployment,
  documentsOf,
  expected,
  files,
  GATEWAY_HOST,
  injected,
  namedPod,
  other,
  TARGETS_LINE,
  workload,
} from "./injecting.ts";

const KINDS: readonly (readonly [kind: string, apiVersion: string, ...path: string[]])[] = [
  ["Pod", "v1"],
  ["PodTemplate", "v1", "template"],
  ["ReplicationController", "v1", "spec", "template"],
  ["Deployment", "apps/v1", "spec", "template"],
  ["Deployment", "extensions/v1beta1", "spec", "template"],
  ["StatefulSet", "apps/v1", "spec", "template"],
  ["DaemonSet", "apps/v1", "spec", "template"],
  ["ReplicaSet", "apps/v1", "spec", "template"],
  ["Job", "batch/v1", "spec", "template"],
  ["CronJob", "batch/v1", "spec", "jobTemplate", "spec", "template"],
];
for (const [kind, apiVersion, ...path] of KINDS) {
  t.test(`${apiVersion} ${kind}`, async (t) => {
    const text = workload(kind, path, apiVersion);
    const { code, out, err } = await injected(t, text);
    t.equal(code, 0);
    t.equal(err, "");
    t.strictSame(documentsOf(out), [await expected(text)], "the workload, and no object of the gateway");
    t.match(out, `value: ${GATEWAY_HOST}`);
  });
}

t.test("golden: a changed document", async (t) => {
  for (const name of ["commented.yaml", "shared.yaml", "list.json", "single.json"]) {
    const read = (suffix: string): string =>
      readFileSync(new URL(`../fixtures/commands/${name.replace(".", `.${suffix}.`)}`, import.meta.url), "utf8");
    const { out: got } = await injected(t, read("in"));
    const golden = new URL(`../fixtures/commands/${name.replace(".", ".out.")}`, import.meta.url);
    if (process.env["GOLDEN"] === "write") writeFileSync(golden, got);
    else t.equal(got, read("out"), name);
  }
});

const withGateway = (t: Test, text: string) => injected(t, text, CONFIG, { gateway: true });

t.test("--gateway: the gateway's objects follow, as they would be applied", async (t) => {
  const { out } = await withGateway(t, deployment);
  const [, ...manifests] = documentsOf(out);
  t.strictSame(
    manifests.map(({ kind, metadata }) => `${String(kind)} ${(metadata as { name: string }).name}`),
    [
      "ConfigMap flowgen-wireguard-gateway-forwards",
      "ConfigMap flowgen-wireguard-gateway-scripts",
      "Deployment flowgen-wireguard-gateway",
      "Service flowgen-wireguard-gateway",
      "NetworkPolicy flowgen-wireguard-gateway",
    ],
  );
  for (const { metadata, status } of manifests) {
    t.equal(status, undefined);
    t.strictSame(
      Object.keys(metadata as object).filter((key) => !["name", "namespace", "labels", "annotations"].includes(key)),
      [],
    );
  }
});

t.test("--gateway: a second run changes nothing", async (t) => {
  const first = await withGateway(t, deployment);
  t.strictSame(await withGateway(t, first.out), first);
  t.strictSame(await injected(t, first.out), first);
});

t.test("--gateway: an object of the gateway that the stream holds is never written", async (t) => {
  const first = await withGateway(t, deployment);
  const { code, out, err } = await withGateway(t, `${first.out}---\n${other}`);
  t.equal(code, 0);
  t.match(
    err,
    /^ConfigMap flowgen-gateway\/flowgen-wireguard-gateway-forwards: warning: the manifests hold another one, which passes unchanged$/m,
  );
  t.notMatch(err, /-scripts/, "the same one is no news");
  const [own] = documentsOf(out).slice(-1);
  t.match(own, { kind: "Service", metadata: { name: /-10-0-0-9-/ } }, "the other one's host has a Service of its own");
  t.strictSame(documentsOf(out).slice(0, -2), documentsOf(first.out), "and none comes twice");
});

t.test("an object of the gateway's name in the stream that is not the gateway's passes unchanged", async (t) => {
  const named = `metadata: {name: flowgen-wireguard-gateway, namespace: flowgen-gateway}\n`;
  const others = [
    `---\napiVersion: v1\nkind: Service\n${named}spec: {ports: [{port: 1}]}\n`,
    `---\napiVersion: serving.knative.dev/v1\nkind: Service\n${named}spec: {template: {spec: {}}}\n`,
  ];
  for (const other of others) {
    const { code, out, err } = await injected(t, deployment + other);
    t.strictSame([code, err], [0, ""]);
    t.ok(out.endsWith(other));
  }
});

t.test("rejected: file, line and reason on stderr, and the other documents are printed", async (t) => {
  const bad = deployment.replace("db=10.0.0.5:1433", "db=127.0.0.1:1");
  const { code, out, err } = await injected(t, `${deployment}---\n${bad}---\n${other}`);
  t.equal(code, 1);
  t.match(
    err,
    /^stream.yaml:29: Deployment team-a\/x: rejected: target-forbidden: flowgen.io\/private-targets\[0\]: .*\n$/,
  );
  t.equal(out, (await injected(t, `${deployment}---\n${other}`)).out);
});

t.test("an address that no cluster has given is never printed: the workload is rejected, in each output", async (t) => {
  const led = namedPod("sql.corp.example.com");
  const { code, out, err } = await injected(t, `${deployment}---\n${led}`);
  t.equal(code, 1);
  t.match(
    err,
    /^stream.yaml:\d+: Pod team-a\/led: rejected: address-unknown: sql\.corp\.example\.com: .*--cluster kubeconfig; .*\n$/,
  );
  t.equal(out, (await injected(t, deployment)).out, "the other documents are printed");
  t.match(await injected(t, led, CONFIG, { output: "json" }), { code: 1, out: /"reason": "address-unknown"/ });
  const stale = led.replace("spec:", "spec:\n  hostAliases: [{ip: 192.0.2.1, hostnames: [sql.corp.example.com]}]");
  t.match(await injected(t, stale), { code: 1, out: "", err: /address-unknown/ }, "one that was printed earlier");
  const audited = led.replace("annotations:", "annotations:\n    flowgen.io/mode: audit");
  t.match(await injected(t, audited), { code: 0, out: audited }, "nothing is printed, nothing is refused");
});

t.test("modes: audit and disabled change nothing", async (t) => {
  const audit = deployment.replace(TARGETS_LINE, `${TARGETS_LINE}\n        flowgen.io/mode: audit`);
  t.match(await injected(t, audit), {
    code: 0,
    out: audit,
    err: /Deployment team-a\/x: warning: audit: 10.0.0.5:1433/,
  });
  const disabled = deployment.replace(TARGETS_LINE, `${TARGETS_LINE}\n        flowgen.io/mode: disabled`);
  t.strictSame(await injected(t, disabled), { code: 0, out: disabled, err: "" });
});

t.test("warnings go to stderr", async (t) => {
  const { code, err } = await injected(t, deployment.replace("value: 10.0.0.5", "value: elsewhere"));
  t.equal(code, 0);
  t.match(err, /Deployment team-a\/x: warning: db: /);
});

t.test("a warning is printed whole", async (t) => {
  const audited = deployment.replace(
    TARGETS_LINE,
    `${TARGETS_LINE.replace("10.0.0.5", "127.0.0.1")}\n        flowgen.io/mode: audit`,
  );
  t.match(
    (await injected(t, audited)).err,
    /warning: audit: [a-z-]+: would be rejected: .*use the server's own address/,
  );
});

t.test("an empty table is reported where an answer depends on it", async (t) => {
  const said = async (text: string): Promise<string> => {
    let err = "";
    const output = { out: () => undefined, err: (more: string) => void (err += more) };
    await inject({ ...files(t, text), output: "manifests", gateway: false }, output);
    return err;
  };
  t.match(await said(deployment), /^no --cluster: .* --cluster kubeconfig reads the live one\n1 injected, [^\n]*\n$/);
  t.equal(await said("kind: Service\n"), "no workload found (1 document of another kind)\n");
});
