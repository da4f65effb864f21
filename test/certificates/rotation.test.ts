import { X509Certificate } from "node:crypto";
import { pino } from "pino";
import t, { type Test } from "tap";
import { clusterStore } from "../../src/certificates/store.ts";
import { createKeeper } from "../../src/certificates/keeper.ts";
import { type Cluster, ClusterError, type KubeObject, type Ref } from "../../src/cluster/cluster.ts";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import { webhookPath } from "../../src/certificates/own-path.ts";
import { type Certificates, decodeData, fromFiles, type KeyPair } from "../../src/certificates/secret.ts";
import type { CertificatePolicy } from "../../src/certificates/judgement.ts";
import * as issuer from "../../src/certificates/issue.ts";
import { type Rotation, startRotation } from "../../src/certificates/rotation.ts";
import { startServer, type RunningServer } from "../../src/server/run.ts";
import { contractWebhooks } from "../cluster-port/contract.ts";
import { configOf, scripts } from "../making.ts";
import { until } from "../wait.ts";
import { admitAt, review, send, traffic } from "../server/client.ts";

const MINUTE = 60_000;
/** So short that every certificate of a test is valid at the real time too: clients use that time. */
const policy: CertificatePolicy = {
  names: ["127.0.0.1"],
  leafMs: 10 * MINUTE,
  caMs: 25 * MINUTE,
  settleMs: 2 * MINUTE,
};
const config = configOf(`
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8"]}]
`);
const secretRef: Ref = { kind: "Secret", namespace: "n", name: "tls" };
const hooks = contractWebhooks("w", [{ name: "a.b.c" }]);
const { signal } = new AbortController();

type Line = Readonly<Record<string, unknown>>;
type Replica = RunningServer & {
  readonly rotation: Rotation;
  readonly lines: Line[];
  readonly tick: (ms: number) => void;
};

/** A running webhook that keeps its certificate in this cluster. A call makes it look, and its clock is set by hand. */
const start = async (
  t: Test,
  cluster: Cluster,
  everyMs = 3_600_000,
  more: Partial<typeof policy> = {},
): Promise<Replica> => {
  const lines: Line[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => lines.push(JSON.parse(line) as Line) });
  let ahead = 0;
  const server = await startServer({
    ...{ cluster, config, scripts, version: "1", host: "127.0.0.1", port: 0, metricsPort: 0, drainSeconds: 0 },
    log: pino({ level: "silent" }),
    tls: "later",
    waitsFor: () => rotation.waitsFor(),
  });
  const store = clusterStore(cluster, secretRef, "w");
  const rotation: Rotation = startRotation({
    name: store.name,
    makeKeeper: (onStep) =>
      createKeeper({
        store,
        issuer,
        policy: { ...policy, ...more },
        onStep,
        now: () => Date.now() + ahead,
        clock: () => ahead,
      }),
    take: server.setTls,
    takePath: server.setPath,
    everyMs,
    log,
    metrics: server.metrics,
    random: () => 0.5,
  });
  t.teardown(async () => {
    rotation.stop();
    await server.stop();
  });
  return { ...server, rotation, lines, tick: (ms) => (ahead += ms) };
};
const withHooks = async (): Promise<MemoryCluster> => {
  const cluster = createMemoryCluster();
  await cluster.create(hooks, signal);
  return cluster;
};
const bundle = (cluster: MemoryCluster): string => {
  const found = cluster.all().find(({ kind }) => kind === "MutatingWebhookConfiguration");
  const [hook] = (found?.["webhooks"] ?? []) as { clientConfig: { caBundle?: string } }[];
  return Buffer.from(hook?.clientConfig.caBundle ?? "", "base64").toString();
};
const stored = (cluster: MemoryCluster) => {
  const secret = cluster.all().find(({ kind }) => kind === "Secret");
  return fromFiles(decodeData((secret?.["data"] ?? {}) as Record<string, string>));
};
const metricsOf = async ({ metricsUrl }: RunningServer): Promise<string> => (await send(metricsUrl)).body;
const messages = ({ lines }: Replica): readonly unknown[] => lines.map(({ msg }) => msg);

t.test("from nothing: no handshake, then a certificate that caBundle trusts, and ready", async (t) => {
  const cluster = await withHooks();
  const replica = await start(t, cluster);
  t.match(replica.rotation.waitsFor(), /its certificate in Secret n\/tls/);
  await t.rejects(send(`${replica.url}/readyz`, { ca: "" }), "no certificate to shake hands with");
  const alive = replica.metricsUrl.replace("/metrics", "/healthz");
  t.match(await send(alive), { status: 200, body: "ok\n" }, "and alive: a slow API server restarts no pod");
  await replica.rotation.check();
  t.match(await send(`${replica.url}/readyz`, { ca: bundle(cluster) }), { status: 200, body: "ok\n" });
  t.match(await admitAt(replica.url, { ca: bundle(cluster) }), { status: 200, body: /"patch"/ });
  t.strictSame(messages(replica), ["certificates changed", "certificates changed", "certificate taken"]);
  t.match(replica.lines[0], { level: 30, step: "make", reason: "missing", certificates: "Secret n/tls" });
  const text = await metricsOf(replica);
  const ends = [stored(cluster)?.leaf, stored(cluster)?.ca].map(
    (pair) => new X509Certificate(pair?.cert ?? "").validToDate.getTime() / 1000,
  );
  t.match(text, `flowgen_gateway_certificate_expiry_timestamp_seconds ${ends[0]}\n`);
  t.match(text, `flowgen_gateway_certificate_ca_expiry_timestamp_seconds ${ends[1]}\n`);
  t.match(text, 'flowgen_gateway_certificate_changes_total{step="make",reason="missing"} 1\n');
  t.match(text, 'flowgen_gateway_certificate_changes_total{step="trust",reason="bundle-differs"} 1\n');
  t.notMatch(JSON.stringify(replica.lines), /PRIVATE/);
});

t.test("certificate and CA renewed under continuous requests: none fails", async (t) => {
  const cluster = await withHooks();
  const replicas = [await start(t, cluster), await start(t, cluster)];
  const check = async (ms: number): Promise<void> => {
    for (const { tick } of replicas) tick(ms);
    for (const { rotation } of replicas) await rotation.check();
  };
  await check(0);
  const first = stored(cluster);
  const serials = new Set<string>();
  for (const ms of [7 * MINUTE, 7 * MINUTE, 2 * MINUTE]) {
    // Clients that trust what caBundle said before and what it says now, as API servers that lag or do not.
    const before = bundle(cluster);
    const streams = replicas.map(({ url }) => traffic(url, before));
    await Promise.all(streams.map(({ answered }) => answered(3)));
    await check(ms);
    const after = replicas.map(({ url }) => traffic(url, bundle(cluster)));
    await Promise.all([...streams, ...after].map(({ answered }) => answered(5)));
    for (const { end, failures, answers } of [...streams, ...after]) {
      await end();
      t.strictSame(failures, []);
      t.ok(answers.length >= 5);
      for (const { status, serial } of answers) {
        t.equal(status, 200);
        serials.add(serial);
      }
    }
  }
  t.not(stored(cluster)?.ca.cert, first?.ca.cert);
  t.equal(serials.size, 4, `${serials.size} certificates were served`);
});

t.test("no webhook configuration: not ready, and why; then ready by itself", async (t) => {
  const cluster = createMemoryCluster();
  const replica = await start(t, cluster, 20);
  await replica.rotation.check();
  t.match(replica.rotation.waitsFor(), /every caBundle to hold its CA/);
  const ca = stored(cluster)?.ca.cert ?? "";
  t.match(await send(`${replica.url}/readyz`, { ca }), {
    status: 503,
    body: "waits for every caBundle to hold its CA\n",
  });
  await replica.rotation.check();
  t.equal(replica.lines.filter(({ msg }) => msg === "certificates not in order").length, 1, "said once");
  t.match(replica.lines.at(-1), { level: 50, reason: "no-webhook-configuration", detail: /install it, or correct/ });
  t.match(await metricsOf(replica), /certificate_failures_total\{reason="no-webhook-configuration"\} \d/);
  await cluster.create(hooks, signal);
  await until("it waits for nothing", () => replica.rotation.waitsFor() === undefined);
  t.match(messages(replica).slice(-2), ["certificates changed", "certificates in order again"]);
  cluster.remove({ kind: "MutatingWebhookConfiguration", namespace: "", name: "w" });
  await replica.rotation.check();
  t.equal(replica.rotation.waitsFor(), undefined, "once ready, it stays: the certificate is served");
});

t.test(
  "the API server away or refusing: logged once, counted each time, and the served certificate stays",
  async (t) => {
    const cluster = await withHooks();
    let code = 200;
    const failing: Cluster = {
      ...cluster,
      get: async (ref, signal): Promise<KubeObject | undefined> => {
        if (code === 200 || ref.name !== "tls") return await cluster.get(ref, signal);
        throw new ClusterError({ verb: "get", ref, code, reason: "Forbidden", says: "no" });
      },
    };
    const replica = await start(t, failing);
    await replica.rotation.check();
    code = 403;
    await replica.rotation.check();
    await replica.rotation.check();
    t.strictSame(messages(replica).slice(3), ["certificates not in order"]);
    t.match(replica.lines[3], { reason: "api-error", detail: /cannot get secrets n\/tls: no \(403 Forbidden\)/ });
    t.match(await metricsOf(replica), 'flowgen_gateway_certificate_failures_total{reason="api-error"} 2\n');
    t.match(await admitAt(replica.url, { ca: bundle(cluster) }), { status: 200 });
    code = 200;
    await replica.rotation.check();
    t.strictSame(messages(replica).slice(4), ["certificates in order again"]);
  },
);

t.test("another owner's Secret: not ready, and the fix is logged", async (t) => {
  const cluster = await withHooks();
  const metadata = { namespace: "n", name: "tls" };
  await cluster.create({ apiVersion: "v1", kind: "Secret", metadata, data: { "tls.crt": "eA==" } }, signal);
  const replica = await start(t, cluster);
  await replica.rotation.check();
  t.match(replica.lines, [
    { level: 50, reason: "data-unmanaged", detail: /choose another Secret or folder, delete the data, or label/ },
  ]);
  t.match(replica.rotation.waitsFor(), /its certificate/);
});

t.test("a stopped one looks no more, and its last look ends quietly", async (t) => {
  const cluster = await withHooks();
  const stalled: Cluster = {
    ...cluster,
    get: (ref, signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(new ClusterError({ verb: "get", ref, code: 0, reason: "DeadlineExceeded", says: "late" }));
        });
      }),
  };
  const replica = await start(t, stalled);
  const last = replica.rotation.check();
  replica.rotation.stop();
  await last;
  t.strictSame(replica.lines, []);
});

t.test(
  "reviews by the path with the token, and after a while by no other; both tokens while the CA rotates",
  async (t) => {
    const cluster = await withHooks();
    const replica = await start(t, cluster, undefined, { hasPathToken: true });
    await replica.rotation.check();
    const ask = async (path: string): Promise<number> => {
      const { status, body } = await send(`${replica.url}${path}?timeout=10s`, { ca: bundle(cluster), body: review });
      t.notMatch(body, /mutate/);
      return status;
    };
    const certificates = () => stored(cluster) as Certificates;
    const path = webhookPath(certificates().ca);
    t.strictSame([await ask(path), await ask("/mutate"), await ask(`/mutate/${"x".repeat(64)}`)], [200, 200, 404]);
    replica.tick(policy.settleMs);
    await replica.rotation.check();
    t.strictSame([await ask(path), await ask("/mutate")], [200, 404]);
    t.match(messages(replica).at(-1), "reviews are taken by the path with the token only");
    t.notMatch(JSON.stringify(replica.lines), path.slice("/mutate/".length));
    const other = createKeeper({ store: clusterStore(cluster, secretRef, "w"), issuer, policy });
    await other.look(signal, { isAsked: true });
    await replica.rotation.check();
    const next = webhookPath(certificates().next as KeyPair);
    t.strictSame([await ask(path), await ask(next)], [200, 200]);
    await other.look(signal, { isSettled: true });
    t.strictSame([await ask(path), await ask(next)], [200, 200], "before it has read the Secret");
    await replica.rotation.check();
    t.strictSame([await ask(path), await ask(next), await ask("/mutate")], [200, 200, 404]);
  },
);
