import { readFileSync, writeFileSync } from "node:fs";
import t from "tap";
import { deployment, documentsOf, expected, HOST, injected, TARGETS, workload } from "./injecting.ts";

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
    t.strictSame(documentsOf(out)[0], await expected(text));
    t.match(out, `value: ${HOST}`);
  });
}

/** Where the gateway's manifests begin. */
const MANIFESTS = /^---\napiVersion: v1\nkind: ConfigMap|,\s*\{\s*"apiVersion": "v1",\s*"kind": "ConfigMap"/m;

t.test("golden: what a touched document looks like", async (t) => {
  for (const name of ["commented.yaml", "shared.yaml", "list.json", "single.json"]) {
    const read = (suffix: string): string =>
      readFileSync(new URL(`../fixtures/commands/${name.replace(".", `.${suffix}.`)}`, import.meta.url), "utf8");
    const { out } = await injected(t, read("in"));
    const got = out.split(MANIFESTS, 1)[0] ?? "";
    const golden = new URL(`../fixtures/commands/${name.replace(".", ".out.")}`, import.meta.url);
    if (process.env["GOLDEN"] === "write") writeFileSync(golden, got);
    else t.equal(got, read("out"), name);
  }
});

t.test("the gateway's manifests follow, as they would be applied", async (t) => {
  const { out } = await injected(t, deployment);
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

t.test(
  "a second run changes nothing; one with more workloads keeps the ports and updates the manifests in place",
  async (t) => {
    const first = await injected(t, deployment);
    const again = await injected(t, first.out);
    t.strictSame(again, { code: 0, out: first.out, err: "" });
    const other = deployment
      .replace("name: x", "name: y")
      .replaceAll("10.0.0.5", "10.0.0.9")
      .replace(/^( +)- name: DB_HOST$/m, '$1- { name: DB_PORT, value: "1433" }\n$&');
    const more = await injected(t, `${other}---\n${first.out}`);
    t.equal(more.code, 0);
    const documents = documentsOf(more.out);
    t.equal(documents.length, 7, "no manifest twice");
    t.match(documents[0], {
      spec: { template: { metadata: { annotations: { "flowgen.io/gateway-status": /10.0.0.9:1433":"[^"]*:1434"/ } } } },
    });
    t.strictSame(documents[1], documentsOf(first.out)[0]);
    t.match(documents[2], { data: { forwards: "1433 10.0.0.5 1433 wg0\n1434 10.0.0.9 1433 wg0\n" } });
    t.strictSame(await injected(t, more.out), { code: 0, out: more.out, err: "" });
  },
);

t.test("an object of the gateway's name that is somebody else's", async (t) => {
  const foreign = `---\napiVersion: v1\nkind: Service\nmetadata: {name: flowgen-wireguard-gateway, namespace: flowgen-gateway}\nspec: {ports: [{port: 1}]}\n`;
  t.match(await injected(t, deployment + foreign), {
    code: 1,
    out: "",
    err: /Service flowgen-gateway\/flowgen-wireguard-gateway: .*not managed/,
  });
});

t.test("an object of the stream that no API server would take", async (t) => {
  const broken = `---\napiVersion: v1\nkind: Service\nmetadata: {name: flowgen-wireguard-gateway, namespace: flowgen-gateway, labels: {app.kubernetes.io/managed-by: flowgen-gateway-webhook}}\nspec: {}\n`;
  t.match(await injected(t, deployment + broken), {
    code: 1,
    out: "",
    err: /Deployment team-a\/x: failed: api-error: .*ports/,
  });
});

t.test("rejected: reasons on stderr, nothing on stdout", async (t) => {
  const bad = deployment.replace("db=10.0.0.5:1433", "db=127.0.0.1:1");
  t.match(await injected(t, `${deployment}---\n${bad}`), {
    code: 1,
    out: "",
    err: /^Deployment team-a\/x: rejected: target-forbidden: flowgen.io\/private-targets\[0\]: .*\n$/,
  });
});

t.test("modes: audit and disabled change nothing", async (t) => {
  const audit = deployment.replace(TARGETS, `${TARGETS}\n        flowgen.io/mode: audit`);
  t.match(await injected(t, audit), {
    code: 0,
    out: audit,
    err: /Deployment team-a\/x: warning: audit: 10.0.0.5:1433/,
  });
  const disabled = deployment.replace(TARGETS, `${TARGETS}\n        flowgen.io/mode: disabled`);
  t.strictSame(await injected(t, disabled), { code: 0, out: disabled, err: "" });
});

t.test("warnings go to stderr", async (t) => {
  const { code, err } = await injected(t, deployment.replace("value: 10.0.0.5", "value: elsewhere"));
  t.equal(code, 0);
  t.match(err, /Deployment team-a\/x: warning: db: /);
});
