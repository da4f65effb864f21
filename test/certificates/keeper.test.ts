/** The webhook's own certificate, kept by several replicas on one cluster in memory, with a clock of the test's own. */
import t from "tap";
import { clusterStore } from "../../src/certificates/store.ts";
import { createKeeper, type Keeper, type Look } from "../../src/certificates/keeper.ts";
import { type Cluster, ClusterError, type KubeObject, type Ref } from "../../src/cluster/cluster.ts";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import { stepText } from "../../src/certificates/reasons.ts";
import { type Certificates, decodeData, fromFiles } from "../../src/certificates/secret.ts";
import type { CertificatePolicy } from "../../src/certificates/judgement.ts";
import { webhookPath } from "../../src/certificates/own-path.ts";
import { trusts } from "../../src/certificates/step.ts";
import { pemBlocks, readCertificate } from "../../src/certificates/x509.ts";
import * as issuer from "../../src/certificates/issue.ts";
import { contractWebhooks } from "../cluster-port/contract.ts";

const DAY = 86_400_000;
const START = Date.parse("2030-01-01T00:00:00Z");
const SETTLE = 120_000;
const policy: CertificatePolicy = { names: ["w.n.svc"], leafMs: 90 * DAY, caMs: 365 * DAY, settleMs: SETTLE };
const secretRef: Ref = { kind: "Secret", namespace: "n", name: "tls" };
const hooksRef: Ref = { kind: "MutatingWebhookConfiguration", namespace: "", name: "w" };
const { signal } = new AbortController();

/** A cluster, a clock, and replicas that record their steps. */
const stage = async (more: Partial<CertificatePolicy> = {}) => {
  const cluster = createMemoryCluster();
  await cluster.create(contractWebhooks("w", [{ name: "a.b.c" }, { name: "d.b.c" }]), signal);
  const scene = { now: START, steps: [] as string[] };
  const replica = (through: Cluster = cluster): Keeper =>
    createKeeper({
      store: clusterStore(through, { namespace: "n", name: "tls" }, "w"),
      issuer,
      policy: { ...policy, ...more },
      now: () => scene.now,
      clock: () => scene.now - START,
      pause: () => Promise.resolve(),
      onStep: ({ kind, reason }) => scene.steps.push(`${kind} ${reason}`),
    });
  /** The steps since the last call. */
  const steps = (): readonly string[] => scene.steps.splice(0);
  return { cluster, scene, replica, steps };
};

const object = (cluster: MemoryCluster, { kind, name }: Ref): KubeObject | undefined =>
  cluster.all().find((each) => each.kind === kind && each.metadata.name === name);
const stored = (cluster: MemoryCluster): Certificates => {
  const certificates = fromFiles(decodeData((object(cluster, secretRef)?.["data"] ?? {}) as Record<string, string>));
  if (certificates === undefined) throw new Error("no certificates");
  return certificates;
};
const bundles = (cluster: MemoryCluster): readonly string[] => {
  type Hook = { readonly clientConfig: { readonly caBundle?: string } };
  const hooks = (object(cluster, hooksRef)?.["webhooks"] ?? []) as readonly Hook[];
  return hooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? "", "base64").toString());
};
const sizes = (cluster: MemoryCluster): readonly number[] => bundles(cluster).map((bundle) => pemBlocks(bundle).length);
const kept = (look: Look) => {
  if (look.kind !== "kept") throw new Error(look.failure);
  return look;
};
const spoil = (cluster: MemoryCluster, change: Readonly<Record<string, string>>): void => {
  cluster.edit("somebody", secretRef, (read) => ({ ...read, data: { ...(read["data"] as object), ...change } }));
};
const daysOf = (pem: string): number => Math.round(((readCertificate(pem)?.validToDate.getTime() ?? 0) - START) / DAY);
const events = (cluster: MemoryCluster): readonly KubeObject[] => cluster.all().filter(({ kind }) => kind === "Event");

t.test("three replicas at once on an empty cluster: one CA, one certificate, every caBundle", async (t) => {
  const { cluster, replica, steps } = await stage();
  const replicas = [replica(), replica(), replica()];
  const looks = await Promise.all(replicas.map((each) => each.look(signal)));
  const certificates = stored(cluster);
  for (const look of looks) {
    t.match(look, { kind: "kept", isTrusted: true, rest: { isUnderWay: false } });
    t.strictSame(kept(look).certificates, certificates);
  }
  t.strictSame(steps(), ["make missing", "trust bundle-differs"]);
  t.strictSame(bundles(cluster), [certificates.ca.cert, certificates.ca.cert]);
  t.strictSame([daysOf(certificates.leaf.cert), daysOf(certificates.ca.cert)], [90, 365]);
  t.match(object(cluster, secretRef), {
    type: "kubernetes.io/tls",
    metadata: { labels: { "app.kubernetes.io/managed-by": "flowgen-gateway-webhook" } },
  });
  t.strictSame(
    new Set(events(cluster).map(({ type, reason, message }) => [type, reason, message].join(" "))),
    new Set([
      `Normal CertificateRenewed ${stepText({ kind: "make", reason: "missing" })}`,
      `Normal CertificateRenewed ${stepText({ kind: "trust", reason: "bundle-differs" })}`,
    ]),
  );
  const { uid } = object(cluster, secretRef)?.metadata ?? {};
  for (const event of events(cluster))
    t.match(event, { involvedObject: { kind: "Secret", namespace: "n", name: "tls", uid } });
  const before = cluster.all();
  await Promise.all(replicas.map((each) => each.look(signal)));
  t.strictSame(cluster.all(), before, "and then nothing is written");
});

t.test(
  "a year and a half: renewed in time, the CA in two phases, nothing ever served that is not trusted",
  async (t) => {
    const { cluster, scene, replica, steps } = await stage();
    const [a, b] = [replica(), replica()];
    const both = async (): Promise<void> => {
      for (const each of [a, b]) t.equal(kept(await each.look(signal)).isTrusted, true);
    };
    const after = async (ms: number): Promise<readonly string[]> => {
      scene.now += ms;
      await both();
      return steps();
    };
    await after(0);
    const first = stored(cluster);
    t.strictSame(await after(59 * DAY), []);
    t.strictSame(await after(2 * DAY), ["issue near-expiry"]);
    t.equal(stored(cluster).ca.cert, first.ca.cert, "by the same CA");
    t.strictSame(await after(61 * DAY), ["issue near-expiry"]);
    t.strictSame(await after(61 * DAY), ["issue near-expiry"]);
    t.strictSame(await after(61 * DAY), ["issue near-expiry"]);
    const last = stored(cluster);

    t.strictSame(await after(32 * DAY), ["introduce near-expiry", "trust bundle-differs"]);
    t.strictSame(sizes(cluster), [2, 2]);
    t.equal(stored(cluster).leaf.cert, last.leaf.cert, "served as before");
    t.strictSame(await after(SETTLE - 1000), [], "not yet");
    t.strictSame(await after(1000), ["promote trusted"]);
    const second = stored(cluster);
    t.not(second.ca.cert, first.ca.cert);
    t.strictSame(sizes(cluster), [2, 2], "the former CA stays");
    t.strictSame(await after(60 * DAY), []);
    t.strictSame(await after(2 * DAY), ["issue near-expiry"]);
    t.strictSame(await after(28 * DAY), ["trust bundle-differs", "forget former-ended"], "until its end");
    t.strictSame(sizes(cluster), [1, 1]);
    t.notMatch(object(cluster, secretRef), { data: { "next-ca.key": String } });
  },
);

t.test("the next CA counts as trusted only while it is seen in caBundle without a break", async (t) => {
  const { cluster, scene, replica, steps } = await stage();
  const keeper = replica();
  await keeper.look(signal);
  await keeper.look(signal, { isAsked: true });
  t.match(steps(), ["make missing", "trust bundle-differs", "introduce asked", "trust bundle-differs"]);
  scene.now += SETTLE - 1000;
  const { ca } = stored(cluster);
  cluster.edit("somebody", hooksRef, (read) => ({
    ...read,
    webhooks: (read["webhooks"] as { clientConfig: object }[]).map((hook) => ({
      ...hook,
      clientConfig: { ...hook.clientConfig, caBundle: Buffer.from(ca.cert).toString("base64") },
    })),
  }));
  await keeper.look(signal);
  scene.now += 2000;
  await keeper.look(signal);
  t.strictSame(steps(), ["trust bundle-differs"], "from the start again");
  scene.now += SETTLE;
  await keeper.look(signal);
  t.strictSame(steps(), ["promote trusted"]);
  scene.now += SETTLE;
  t.match(await keeper.look(signal), { rest: { isUnderWay: false } });
  t.strictSame(steps(), ["trust bundle-differs", "forget former-ended"], "asked for: the old CA leaves soon");
  t.strictSame(bundles(cluster), [stored(cluster).ca.cert, stored(cluster).ca.cert]);
});

t.test(
  "a token in the path: written with the CA, needed once every API server has it, and new with a new CA",
  async (t) => {
    const { cluster, scene, replica, steps } = await stage({ hasPathToken: true });
    const keeper = replica();
    const paths = () => {
      type Hook = { readonly clientConfig: { readonly service: { readonly name: string; readonly path?: string } } };
      const hooks = (object(cluster, hooksRef)?.["webhooks"] ?? []) as readonly Hook[];
      return hooks.map(({ clientConfig: { service } }) => `${service.name} ${service.path ?? ""}`);
    };
    const first = kept(await keeper.look(signal));
    const path = webhookPath(first.certificates.ca);
    t.strictSame(paths(), [`none ${path}`, `none ${path}`]);
    t.match(first, { isPathKnown: false, tokens: [path.slice("/mutate/".length)] });
    t.match(await replica().look(signal), { isPathKnown: true }, "a later replica finds it there");
    scene.now += SETTLE;
    t.match(await keeper.look(signal), { isPathKnown: true });
    t.match(await keeper.look(signal, { isAsked: true }), { isPathKnown: true, tokens: { length: 2 } });
    scene.now += SETTLE;
    const promoted = kept(await keeper.look(signal));
    const next = webhookPath(promoted.certificates.ca);
    t.not(next, path);
    t.strictSame(paths(), [`none ${next}`, `none ${next}`]);
    t.strictSame(
      promoted.tokens.map((token) => `/mutate/${token}`),
      [next, path],
    );
    t.equal(promoted.isPathKnown, true);
    scene.now += 2 * SETTLE;
    t.strictSame(kept(await keeper.look(signal)).tokens.length, 1, "the former one is over");
    steps();
    cluster.edit("installer", hooksRef, (read) => ({
      ...read,
      webhooks: (read["webhooks"] as { clientConfig: { service: object } }[]).map((hook, index) => ({
        ...hook,
        clientConfig: {
          ...hook.clientConfig,
          service: { ...hook.clientConfig.service, path: index === 0 ? "/mutate" : "/warn" },
        },
      })),
    }));
    t.match(await keeper.look(signal), { isPathKnown: false }, "an API server may still know the other path");
    t.strictSame(steps(), ["trust path-differs"]);
    t.strictSame(paths(), [`none ${next}`, `none ${next.replace("mutate", "warn")}`]);
  },
);

t.test("the Secret deleted: the served certificate stays trusted, and another CA takes over", async (t) => {
  const { cluster, scene, replica, steps } = await stage();
  const [a, b] = [replica(), replica()];
  await a.look(signal);
  await b.look(signal);
  const before = stored(cluster);
  steps();
  cluster.remove(secretRef);
  const looks = (await Promise.all([a, b].map((each) => each.look(signal)))).map(kept);
  for (const { certificates, isTrusted } of looks) {
    t.strictSame(certificates.leaf, before.leaf);
    t.ok(isTrusted);
  }
  t.strictSame(steps(), ["restore missing", "trust bundle-differs"]);
  t.ok(events(cluster).some(({ type, message }) => type === "Warning" && /is stored again/.test(String(message))));
  scene.now += SETTLE;
  await a.look(signal);
  t.strictSame(steps(), ["promote trusted"]);
  t.not(stored(cluster).ca.cert, before.ca.cert);
});

t.test("the Secret deleted while no replica runs: certificates of other replicas stay trusted for a day", async (t) => {
  const { cluster, replica, scene, steps } = await stage();
  await replica().look(signal);
  const before = stored(cluster);
  cluster.remove(secretRef);
  steps();
  const { certificates, isTrusted } = kept(await replica().look(signal));
  t.strictSame(steps(), ["make missing", "trust bundle-differs"]);
  t.ok(isTrusted);
  t.not(certificates.ca.cert, before.ca.cert);
  for (const bundle of bundles(cluster)) t.ok(trusts(bundle, before.ca.cert));
  scene.now += DAY;
  await replica().look(signal);
  for (const bundle of bundles(cluster)) t.notOk(trusts(bundle, before.ca.cert));
});

t.test("the Secret spoilt by hand", async (t) => {
  const { cluster, scene, replica, steps } = await stage();
  const keeper = replica();
  await keeper.look(signal);
  const before = stored(cluster);
  steps();
  spoil(cluster, { "tls.key": "eA==" });
  t.ok(kept(await keeper.look(signal)).isTrusted);
  t.strictSame(steps(), ["issue key-mismatch"]);
  t.equal(stored(cluster).ca.cert, before.ca.cert);

  spoil(cluster, { "ca.key": "eA==" });
  t.ok(kept(await keeper.look(signal)).isTrusted);
  t.strictSame(steps(), ["introduce key-mismatch", "trust bundle-differs"]);
  scene.now += SETTLE;
  await keeper.look(signal);
  t.strictSame(steps(), ["promote trusted"]);

  const good = stored(cluster);
  spoil(cluster, Object.fromEntries(["tls.crt", "tls.key", "ca.crt", "ca.key"].map((name) => [name, "eA=="])));
  const { certificates, isTrusted } = kept(await keeper.look(signal));
  t.strictSame(steps(), ["restore unreadable", "trust bundle-differs"]);
  t.strictSame([certificates.leaf, isTrusted], [good.leaf, true]);
});

t.test("another owner's Secret stays unchanged; an empty one is used", async (t) => {
  const { cluster, replica } = await stage();
  const foreign = { apiVersion: "v1", kind: "Secret", metadata: { namespace: "n", name: "tls" } } as const;
  await cluster.create({ ...foreign, data: { "tls.key": "eA==" } }, signal);
  const before = cluster.all();
  t.strictSame(await replica().look(signal), { kind: "refused", failure: "data-unmanaged" });
  t.strictSame(cluster.all(), before);
  cluster.remove(secretRef);
  await cluster.create(foreign, signal);
  t.match(await replica().look(signal), { kind: "kept", isTrusted: true });
  t.match(object(cluster, secretRef), { type: "Opaque" });
});

t.test("no webhook configuration: a certificate is made, and the log names the fault", async (t) => {
  const { cluster, scene, replica, steps } = await stage();
  cluster.remove(hooksRef);
  const keeper = replica();
  const missing = { isTrusted: false, failure: "no-webhook-configuration" };
  t.match(await keeper.look(signal), missing);
  t.match(await keeper.look(signal, { isAsked: true }), { ...missing, rest: { isUnderWay: true } });
  scene.now += DAY;
  t.match(await keeper.look(signal), missing);
  t.strictSame(steps(), ["make missing", "introduce asked"], "no CA signs before it can be trusted");
});

t.test("helm and kubectl keep caBundle, and their changes stay", async (t) => {
  const { cluster, replica, steps } = await stage();
  await replica().look(signal);
  steps();
  cluster.edit("helm", hooksRef, (read) => ({
    ...read,
    webhooks: (read["webhooks"] as object[]).map((hook) => ({ ...hook, timeoutSeconds: 3 })),
  }));
  t.ok(kept(await replica().look(signal)).isTrusted);
  t.strictSame(steps(), []);
  t.match(object(cluster, hooksRef), { webhooks: [{ timeoutSeconds: 3 }, { timeoutSeconds: 3 }] });
});

t.test("a crash between two writes: the next replica goes on", async (t) => {
  const { cluster, replica, steps } = await stage();
  const crashing: Cluster = {
    ...cluster,
    apply: (given, signal) =>
      given.kind === "Secret" ? cluster.apply(given, signal) : new Promise<KubeObject>(() => undefined),
  };
  void replica(crashing).look(signal);
  while (object(cluster, secretRef) === undefined) await new Promise(setImmediate);
  t.strictSame(bundles(cluster), ["", ""]);
  t.match(await replica().look(signal), { kind: "kept", isTrusted: true });
  t.match(steps(), ["make missing", "trust bundle-differs"]);
});

t.test("the API server does not answer, refuses, or loses an answer", async (t) => {
  const { cluster, replica, steps } = await stage();
  const failing = (code: number, times: number): Cluster => {
    let left = times;
    const error = new ClusterError({ verb: "apply", ref: secretRef, code, reason: "Injected", says: "injected" });
    return {
      ...cluster,
      apply: async (given, signal) => {
        const answer = code === 0 || left === 0 ? await cluster.apply(given, signal) : undefined;
        if (answer !== undefined && (left === 0 || code !== 0)) return answer;
        left -= 1;
        throw error;
      },
    };
  };
  await t.rejects(replica(failing(403, 1)).look(signal), { code: 403 });
  t.match(await replica(failing(0, 2)).look(signal), { kind: "kept", isTrusted: true });
  t.match(await replica(failing(500, 3)).look(signal), { kind: "kept" });
  cluster.remove(secretRef);
  await t.rejects(replica(failing(500, 1000)).look(signal), { code: 500 }, "the retries are bounded");
  steps();
});

t.test("writes that never end are an error, not a loop", async (t) => {
  const { cluster, replica } = await stage();
  const forgetful: Cluster = { ...cluster, apply: (given) => Promise.resolve(given) };
  await t.rejects(replica(forgetful).look(signal), {
    message: /Secret n\/tls still changes after 20 writes: missing again/,
  });
});
