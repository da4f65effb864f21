/**
 * The rules of every Cluster. They run on memory in the default tests, and on a real API server in the cluster tests.
 * So a test on memory holds for a real API server too. The objects are valid ones, and no rule assumes versions, times
 * or addresses.
 */
import type { Test } from "tap";
import { type Cluster, ClusterError, type KubeObject, NEVER, type Ref, refOf } from "../../src/cluster/cluster.ts";
import { isHeldByOthers } from "../../src/cluster/managed-fields.ts";
import { MANAGER } from "../../src/core/names.ts";

/** A cluster to be tested and an empty namespace in it for this test alone. */
export type Subject = {
  readonly cluster: Cluster;
  readonly namespace: string;
  /** Replaces an object as another field manager (GET, change, PUT). */
  readonly editAs: (manager: string, ref: Ref, change: (object: KubeObject) => KubeObject) => Promise<KubeObject>;
  /** Deletes an object. */
  readonly remove: (ref: Ref) => Promise<void>;
  readonly done: () => Promise<void>;
};

export type Port = { name?: string; port: number; targetPort?: number; protocol?: string; [field: string]: unknown };

export const configMap = (
  namespace: string,
  name: string,
  data: Readonly<Record<string, string>>,
  metadata: Readonly<Record<string, unknown>> = {},
): KubeObject => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace, ...metadata }, data });

export const service = (namespace: string, name: string, ports: readonly Port[]): KubeObject => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace },
  spec: { selector: { app: name }, ports },
});

export const contractDeployment = (
  namespace: string,
  name: string,
  env: readonly Record<string, string>[],
): KubeObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: "main", image: "example/main:1", env }] },
    },
  },
});

export const networkPolicy = (namespace: string, name: string, ports: readonly number[]): KubeObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name, namespace },
  spec: {
    podSelector: {},
    policyTypes: ["Ingress"],
    ingress: ports.map((port) => ({ ports: [{ protocol: "TCP", port }] })),
  },
});

export const secret = (namespace: string, name: string, data: Readonly<Record<string, string>>): KubeObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace },
  data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString("base64")])),
});

export type HookFields = { readonly name: string; readonly [field: string]: unknown };
/** A webhook configuration that no request matches. */
export const contractWebhooks = (name: string, webhooks: readonly HookFields[]): KubeObject => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingWebhookConfiguration",
  metadata: { name, namespace: "" },
  webhooks: webhooks.map((webhook) => ({
    admissionReviewVersions: ["v1"],
    sideEffects: "None",
    clientConfig: { service: { name: "none", namespace: "none" } },
    rules: [{ apiGroups: ["example.test"], apiVersions: ["v1"], operations: ["CREATE"], resources: ["nothings"] }],
    ...webhook,
  })),
});

/** A signal that no call of the suite reaches. */
export const lateSignal = (): AbortSignal => AbortSignal.timeout(20_000);

/** The API server's copy of an object that must be there. */
export const must = async (cluster: Cluster, ref: Ref): Promise<KubeObject> => {
  const object = await cluster.get(ref, lateSignal());
  if (object === undefined) throw new Error(`no ${ref.kind} ${ref.namespace}/${ref.name}`);
  return object;
};

/** Shows that a call fails with a ClusterError of this code (and reason), and gives the error. */
export const fails = async (t: Test, call: Promise<unknown>, code: number, reason?: string): Promise<ClusterError> => {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ClusterError)) throw new Error(`not a ClusterError: ${String(error)}`);
  t.equal(error.code, code, error.message);
  if (reason !== undefined) t.equal(error.reason, reason);
  return error;
};

type Spec = {
  readonly clusterIP?: string;
  readonly type?: string;
  readonly ports: readonly Port[];
  readonly [field: string]: unknown;
};
const specOf = (object: KubeObject): Spec => object["spec"] as Spec;
const dataOf = (object: KubeObject): unknown => object["data"];
const envOf = (object: KubeObject): readonly Record<string, string>[] => {
  type Template = {
    readonly template: { readonly spec: { readonly containers: readonly { env?: Record<string, string>[] }[] } };
  };
  return (object["spec"] as Template).template.spec.containers[0]?.env ?? [];
};
const version = (object: KubeObject): string => object.metadata.resourceVersion ?? "";
const labelled = (object: KubeObject, labels: Readonly<Record<string, string>>): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, labels: { ...object.metadata.labels, ...labels } },
});
const annotated = (object: KubeObject, annotations: Readonly<Record<string, string>>): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, ...annotations } },
});
const withVersion = (object: KubeObject, resourceVersion: string): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion },
});

type Rule = (t: Test, subject: Subject) => Promise<void>;

/** Runs every rule as a subtest of its own, each in a cluster and namespace of its own making. */
export const contract = async (t: Test, name: string, makeCluster: () => Promise<Subject>): Promise<void> => {
  await t.test(name, async (t) => {
    for (const [rule, check] of Object.entries(rules)) {
      await t.test(rule, async (t) => {
        const subject = await makeCluster();
        try {
          await check(t, subject);
        } finally {
          await subject.done();
        }
      });
    }
  });
};

const reading: Readonly<Record<string, Rule>> = {
  "get: what is not there is undefined": async (t, { cluster, namespace }) => {
    t.equal(await cluster.get({ kind: "ConfigMap", namespace, name: "none" }, lateSignal()), undefined);
    t.equal(await cluster.get({ kind: "Deployment", namespace, name: "none" }, lateSignal()), undefined);
  },
  "get: what was written, with what the API server adds": async (t, { cluster, namespace }) => {
    const made = await cluster.apply(configMap(namespace, "a", { k: "v" }), lateSignal());
    const read = await must(cluster, refOf(made));
    t.strictSame(read, made);
    t.match(read, { apiVersion: "v1", kind: "ConfigMap", data: { k: "v" }, metadata: { name: "a", namespace } });
    t.match(read.metadata.uid, /^[0-9a-f-]{36}$/);
    t.match(read.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    t.match(read.metadata.managedFields, [{ manager: MANAGER, operation: "Apply", apiVersion: "v1" }]);
  },
  "list: by kind, namespace and every label": async (t, { cluster, namespace }) => {
    for (const [name, labels] of [
      ["b", { app: "x", tier: "1" }],
      ["a", { app: "x", tier: "2" }],
      ["c", { app: "y", tier: "1" }],
    ] as const) {
      await cluster.apply(configMap(namespace, name, {}, { labels }), lateSignal());
    }
    await cluster.apply(
      { ...service(namespace, "s", [{ port: 1 }]), metadata: { namespace, name: "s", labels: { app: "x" } } },
      lateSignal(),
    );
    const names = async (selector: Record<string, string>): Promise<(string | undefined)[]> =>
      (await cluster.list("ConfigMap", namespace, selector, lateSignal())).map(({ metadata }) => metadata.name);
    t.strictSame(await names({ app: "x" }), ["a", "b"]);
    t.strictSame(await names({ app: "x", tier: "1" }), ["b"]);
    t.strictSame(await names({ app: "z" }), []);
    t.match(await cluster.list("Service", "", { app: "x" }, lateSignal()), [{ apiVersion: "v1", kind: "Service" }]);
    t.strictSame(await cluster.list("ConfigMap", `${namespace}-other`, {}, lateSignal()), []);
  },
};

const creating: Readonly<Record<string, Rule>> = {
  "create: once": async (t, { cluster, namespace }) => {
    const object = configMap(namespace, "a", { k: "v" });
    const made = await cluster.create(object, lateSignal());
    t.strictSame(await must(cluster, refOf(object)), made);
    const error = await fails(t, cluster.create(object, lateSignal()), 409, "AlreadyExists");
    t.match(error, { verb: "create", ref: { kind: "ConfigMap", namespace, name: "a" } });
    t.match(error.message, `cannot create configmaps ${namespace}/a: `);
  },
  "create: names are generated": async (t, { cluster, namespace }) => {
    const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { namespace, generateName: "note-" } } as const;
    const [a, b] = [await cluster.create(object, lateSignal()), await cluster.create(object, lateSignal())];
    t.match(a.metadata, { name: /^note-[a-z0-9]{5}$/, generateName: "note-" });
    t.not(a.metadata.name, b.metadata.name);
    const long = { ...object, metadata: { namespace, generateName: "n".repeat(70) } };
    t.equal((await cluster.create(long, lateSignal())).metadata.name?.length, 63);
  },
  "create: names, labels and sizes are checked": async (t, { cluster, namespace }) => {
    const bad = ["", "Upper", "under_score", "-dash", "dot.", "a".repeat(254)];
    for (const name of bad)
      await fails(t, cluster.create(configMap(namespace, name, {}), lateSignal()), 422, "Invalid");
    await cluster.create(configMap(namespace, "0.with-dots", {}), lateSignal());
    for (const name of ["with.dots", "a".repeat(64)]) {
      await fails(t, cluster.create(service(namespace, name, [{ port: 1 }]), lateSignal()), 422, "Invalid");
    }
    for (const labels of [{ ok: "no spaces" }, { "no spaces": "ok" }, { ok: "a".repeat(64) }, { "a/b/c": "ok" }]) {
      await fails(t, cluster.create(configMap(namespace, "a", {}, { labels }), lateSignal()), 422, "Invalid");
    }
    await cluster.create(configMap(namespace, "labels", {}, { labels: { "flowgen.io/a_B.c": "" } }), lateSignal());
    const annotations = { note: "a".repeat(256 * 1024) };
    await fails(t, cluster.create(configMap(namespace, "a", {}, { annotations }), lateSignal()), 422, "Invalid");
    await fails(
      t,
      cluster.create(configMap(namespace, "a", { k: "a".repeat(1024 * 1024 + 1) }), lateSignal()),
      422,
      "Invalid",
    );
    await fails(t, cluster.create(configMap(namespace, "a", { "a/b": "" }), lateSignal()), 422, "Invalid");
    const huge = configMap(namespace, "a", { k: "a".repeat(3 * 1024 * 1024 + 1) });
    await fails(t, cluster.apply(huge, lateSignal()), 413, "RequestEntityTooLarge");
    await fails(t, cluster.create({ ...configMap(namespace, "a", {}, { resourceVersion: "5" }) }, lateSignal()), 500);
    t.equal(await cluster.get({ kind: "ConfigMap", namespace, name: "a" }, lateSignal()), undefined);
    await cluster.create(configMap(namespace, "a", { k: "a".repeat(1024 * 1024) }), lateSignal());
  },
};

const others: Readonly<Record<string, Rule>> = {
  "Event: in the namespace of its object": async (t, { cluster, namespace }) => {
    const about = (of: string): KubeObject => ({
      apiVersion: "v1",
      kind: "Event",
      metadata: { namespace, generateName: "e-" },
      involvedObject: { kind: "Deployment", namespace: of, name: "d" },
      reason: "Restart",
      message: "because",
      type: "Normal",
    });
    t.match(await cluster.create(about(namespace), lateSignal()), { reason: "Restart", metadata: { name: /^e-/ } });
    await fails(t, cluster.create(about("elsewhere"), lateSignal()), 422, "Invalid");
  },
};

const scales: Readonly<Record<string, Rule>> = {
  "Scale: a Deployment's uid, without its template": async (t, { cluster, namespace }) => {
    const made = await cluster.create(contractDeployment(namespace, "d", [{ name: "A", value: "1" }]), lateSignal());
    const scale = await must(cluster, { kind: "Scale", namespace, name: "d" });
    t.match(scale, { apiVersion: "autoscaling/v1", metadata: { name: "d", namespace, uid: made.metadata.uid } });
    t.notMatch(JSON.stringify(scale), /template/);
    t.equal(await cluster.get({ kind: "Scale", namespace, name: "none" }, lateSignal()), undefined);
  },
};

const locking: Readonly<Record<string, Rule>> = {
  "apply: makes what is not there, whatever its resourceVersion": async (t, { cluster, namespace }) => {
    const made = await cluster.apply(withVersion(configMap(namespace, "a", { k: "v" }), "12345"), lateSignal());
    t.strictSame(dataOf(made), { k: "v" });
  },
  "apply: with NEVER it makes only": async (t, { cluster, namespace }) => {
    const made = await cluster.apply(withVersion(configMap(namespace, "a", { k: "1" }), NEVER), lateSignal());
    const again = cluster.apply(withVersion(configMap(namespace, "a", { k: "2" }), NEVER), lateSignal());
    const error = await fails(t, again, 409, "Conflict");
    t.match(error.message, `cannot apply configmaps ${namespace}/a: `);
    t.strictSame(await must(cluster, refOf(made)), made);
  },
  "apply: with the version that was read, once": async (t, { cluster, namespace }) => {
    const made = await cluster.apply(configMap(namespace, "a", { k: "1" }), lateSignal());
    const next = await cluster.apply(withVersion(configMap(namespace, "a", { k: "2" }), version(made)), lateSignal());
    t.not(version(next), version(made));
    await fails(
      t,
      cluster.apply(withVersion(configMap(namespace, "a", { k: "3" }), version(made)), lateSignal()),
      409,
      "Conflict",
    );
    await fails(
      t,
      cluster.apply(withVersion(configMap(namespace, "a", { k: "2" }), version(made)), lateSignal()),
      409,
      "Conflict",
    );
    t.strictSame(dataOf(await must(cluster, refOf(made))), { k: "2" });
  },
  'apply: a version of "" or "0" is no version, and does not lock': async (t, { cluster, namespace }) => {
    await cluster.apply(configMap(namespace, "a", { k: "1" }), lateSignal());
    for (const none of ["", "0"]) {
      const next = await cluster.apply(
        withVersion(configMap(namespace, "a", { k: `new ${none}` }), none),
        lateSignal(),
      );
      t.strictSame(dataOf(next), { k: `new ${none}` });
    }
  },
  "apply: of many at once with one version, one wins": async (t, { cluster, namespace }) => {
    for (const resourceVersion of [NEVER, undefined]) {
      const read = await cluster.get({ kind: "ConfigMap", namespace, name: "a" }, lateSignal());
      const given = resourceVersion ?? version(read as KubeObject);
      const all = await Promise.allSettled(
        Array.from({ length: 8 }, (_, k) =>
          cluster.apply(withVersion(configMap(namespace, "a", { k: `${given} ${k}` }), given), lateSignal()),
        ),
      );
      const won = all.filter((each) => each.status === "fulfilled");
      t.equal(won.length, 1);
      for (const each of all) if (each.status === "rejected") t.match(each.reason, { code: 409, reason: "Conflict" });
      t.strictSame(await must(cluster, { kind: "ConfigMap", namespace, name: "a" }), won[0]?.value);
    }
  },
  "apply: after a deletion it makes a new object": async (t, { cluster, namespace, remove }) => {
    const made = await cluster.apply(configMap(namespace, "a", { k: "1" }), lateSignal());
    await remove(refOf(made));
    const again = await cluster.apply(withVersion(configMap(namespace, "a", { k: "2" }), version(made)), lateSignal());
    t.not(again.metadata.uid, made.metadata.uid);
    await remove(refOf(made));
    const gone = configMap(namespace, "a", {}, { uid: made.metadata.uid });
    await fails(t, cluster.apply(gone, lateSignal()), 409, "Conflict");
    await cluster.apply(configMap(namespace, "a", {}), lateSignal());
    await fails(t, cluster.apply(gone, lateSignal()), 409, "Conflict");
  },
};

const deleting: Readonly<Record<string, Rule>> = {
  "delete: the version that was read and no other; what is gone already is no error": async (
    t,
    { cluster, namespace },
  ) => {
    const made = await cluster.apply(configMap(namespace, "a", { k: "1" }), lateSignal());
    const next = await cluster.apply(configMap(namespace, "a", { k: "2" }), lateSignal());
    await fails(t, cluster.delete(made, lateSignal()), 409, "Conflict");
    t.strictSame(dataOf(await must(cluster, refOf(made))), { k: "2" });
    await cluster.delete(next, lateSignal());
    t.equal(await cluster.get(refOf(made), lateSignal()), undefined);
    await cluster.delete(next, lateSignal());
    const again = await cluster.apply(configMap(namespace, "a", { k: "3" }), lateSignal());
    await fails(
      t,
      cluster.delete({ ...again, metadata: { ...again.metadata, uid: String(made.metadata.uid) } }, lateSignal()),
      409,
      "Conflict",
    );
  },
  "a deleted object that a finalizer holds: marked, and there until the finalizer goes": async (
    t,
    { cluster, namespace, remove },
  ) => {
    const held = (data: Readonly<Record<string, string>>): KubeObject =>
      configMap(namespace, "a", data, { finalizers: ["example.test/hold"] });
    const made = await cluster.apply(held({ k: "1" }), lateSignal());
    await remove(refOf(made));
    const dying = await must(cluster, refOf(made));
    t.match(dying.metadata["deletionTimestamp"], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    t.not(version(dying), version(made));
    t.match(await cluster.list("ConfigMap", namespace, {}, lateSignal()), [{ metadata: { name: "a" } }]);
    await fails(t, cluster.create(configMap(namespace, "a", {}), lateSignal()), 409, "AlreadyExists");
    const next = await cluster.apply(held({ k: "2" }), lateSignal());
    t.strictSame(dataOf(next), { k: "2" });
    t.equal(next.metadata["deletionTimestamp"], dying.metadata["deletionTimestamp"]);
    await cluster.apply(configMap(namespace, "a", { k: "2" }), lateSignal());
    t.equal(await cluster.get(refOf(made), lateSignal()), undefined);
    t.not((await cluster.apply(configMap(namespace, "a", {}), lateSignal())).metadata.uid, made.metadata.uid);
  },
};

const owning: Readonly<Record<string, Rule>> = {
  "apply: what changes nothing leaves the version": async (t, { cluster, namespace, editAs }) => {
    const objects = [
      configMap(namespace, "a", { k: "v" }),
      service(namespace, "a", [
        { name: "x", port: 80 },
        { name: "y", port: 81, targetPort: 8081 },
      ]),
      contractDeployment(namespace, "a", [{ name: "A", value: "1" }]),
      networkPolicy(namespace, "a", [80, 81]),
    ];
    for (const object of objects) {
      const made = await cluster.apply(object, lateSignal());
      t.strictSame(await cluster.apply(object, lateSignal()), made);
      t.strictSame(await cluster.apply(withVersion(object, version(made)), lateSignal()), made);
      const edited = await editAs("somebody", refOf(object), (read) => annotated(read, { note: "mine" }));
      t.not(version(edited), version(made));
      const step = object.kind === "Deployment" ? 1 : 0;
      t.equal(edited.metadata.generation, made.metadata.generation && made.metadata.generation + step);
      t.equal(version(await cluster.apply(object, lateSignal())), version(edited));
    }
  },
  "apply: drops what it no longer holds": async (t, { cluster, namespace }) => {
    const labels = { keep: "1", drop: "1" };
    await cluster.apply(configMap(namespace, "a", { keep: "1", drop: "1" }, { labels }), lateSignal());
    const next = await cluster.apply(configMap(namespace, "a", { keep: "1" }, { labels: { keep: "1" } }), lateSignal());
    t.strictSame(dataOf(next), { keep: "1" });
    t.strictSame(next.metadata.labels, { keep: "1" });
    const bare = await cluster.apply(configMap(namespace, "a", {}), lateSignal());
    t.equal(bare.metadata.labels, undefined);
    t.notOk("data" in bare);
    t.notOk("data" in (await cluster.apply(configMap(namespace, "b", {}), lateSignal())));
  },
  "apply: leaves what others added": async (t, { cluster, namespace, editAs }) => {
    const made = await cluster.apply(configMap(namespace, "a", { ours: "1" }, { labels: { ours: "1" } }), lateSignal());
    await editAs("somebody", refOf(made), (read) => ({
      ...annotated(labelled(read, { theirs: "1" }), { theirs: "1" }),
      data: { ...(read["data"] as object), theirs: "1" },
    }));
    const next = await cluster.apply(configMap(namespace, "a", { ours: "2" }), lateSignal());
    t.strictSame(dataOf(next), { ours: "2", theirs: "1" });
    t.strictSame(next.metadata.labels, { theirs: "1" });
    t.strictSame(next.metadata.annotations, { theirs: "1" });
  },
  "apply: takes back what others changed": async (t, { cluster, namespace, editAs }) => {
    const object = configMap(namespace, "a", { k: "ours" }, { labels: { k: "ours" } });
    await cluster.apply(object, lateSignal());
    await editAs("somebody", refOf(object), (read) => ({ ...labelled(read, { k: "theirs" }), data: { k: "theirs" } }));
    const next = await cluster.apply(object, lateSignal());
    t.strictSame(dataOf(next), { k: "ours" });
    t.strictSame(next.metadata.labels, { k: "ours" });
    t.equal(next.metadata.managedFields?.length, 1, "the former manager owns no field any more");
    await editAs("somebody", refOf(object), (read) => ({ ...read, data: {} }));
    t.strictSame(dataOf(await cluster.apply(object, lateSignal())), { k: "ours" });
  },
  "apply: does not drop what somebody else owns by now": async (t, { cluster, namespace, editAs }) => {
    const made = await cluster.apply(configMap(namespace, "a", { k: "ours", l: "ours" }), lateSignal());
    await editAs("somebody", refOf(made), (read) => ({ ...read, data: { k: "theirs", l: "ours" } }));
    t.strictSame(dataOf(await cluster.apply(configMap(namespace, "a", {}), lateSignal())), { k: "theirs" });
  },
  "apply: what was created is never dropped": async (t, { cluster, namespace }) => {
    await cluster.create(configMap(namespace, "a", { k: "1" }), lateSignal());
    await cluster.apply(configMap(namespace, "a", { k: "1", l: "1" }), lateSignal());
    const next = await cluster.apply(configMap(namespace, "a", { m: "1" }), lateSignal());
    t.strictSame(dataOf(next), { k: "1", m: "1" });
  },
  "apply: managedFields must not be sent": async (t, { cluster, namespace }) => {
    const made = await cluster.apply(configMap(namespace, "a", { k: "v" }), lateSignal());
    await fails(t, cluster.apply(made, lateSignal()), 400, "BadRequest");
  },
};

const updates: Readonly<Record<string, Rule>> = {
  "update: only at the version that was read": async (t, { cluster, namespace }) => {
    const read = await cluster.create(configMap(namespace, "a", { k: "1" }), lateSignal());
    const next = await cluster.update(labelled({ ...read, data: { k: "2" } }, { l: "1" }), lateSignal());
    t.match(next, { data: { k: "2" }, metadata: { labels: { l: "1" }, uid: read.metadata.uid } });
    await fails(t, cluster.update(read, lateSignal()), 409, "Conflict");
    await cluster.delete(next, lateSignal());
    await fails(t, cluster.update(next, lateSignal()), 404, "NotFound");
  },
  "update: others' content is dropped by the next apply, their labels and what the API server gave are not": async (
    t,
    { cluster, namespace, editAs },
  ) => {
    const first = await cluster.create(
      service(namespace, "a", [
        { name: "a", port: 80 },
        { name: "b", port: 81 },
      ]),
      lateSignal(),
    );
    await editAs("somebody", refOf(first), (read) => labelled(read, { theirs: "1" }));
    const taken = await cluster.update(await must(cluster, refOf(first)), lateSignal());
    t.notOk(isHeldByOthers(taken));
    const next = await cluster.apply(service(namespace, "a", [{ name: "a", port: 80 }]), lateSignal());
    t.match(specOf(next).ports, [{ port: 80 }]);
    t.equal(specOf(next).ports.length, 1);
    t.equal(specOf(next).clusterIP, specOf(first).clusterIP);
    t.strictSame(next.metadata.labels, { theirs: "1" });
    t.notOk(isHeldByOthers(next));
  },
  "update: a Deployment keeps what was noted on its pods": async (t, { cluster, namespace, editAs }) => {
    const env = [{ name: "A", value: "1" }];
    const made = await cluster.apply(contractDeployment(namespace, "a", env), lateSignal());
    await editAs("somebody", refOf(made), (read) => {
      const { template, ...spec } = read["spec"] as { template: { metadata: object; spec: object } };
      const noted = { ...template.metadata, annotations: { restarted: "now" } };
      return {
        ...read,
        spec: {
          ...spec,
          minReadySeconds: 3,
          template: { ...template, metadata: noted },
        },
      };
    });
    const read = await must(cluster, refOf(made));
    t.ok(isHeldByOthers(read));
    await cluster.update(read, lateSignal());
    const next = await cluster.apply(contractDeployment(namespace, "a", env), lateSignal());
    t.match(next["spec"], { template: { metadata: { annotations: { restarted: "now" } } } });
    t.notMatch(next["spec"], { minReadySeconds: 3 });
    t.notOk(isHeldByOthers(next));
  },
};

const lists: Readonly<Record<string, Rule>> = {
  "Service: an address and defaults, which stay": async (t, { cluster, namespace }) => {
    const made = await cluster.apply(service(namespace, "a", [{ port: 80 }]), lateSignal());
    const { clusterIP, type, ports } = specOf(made);
    t.match(clusterIP, /^[0-9a-f.:]+$/);
    t.equal(type, "ClusterIP");
    t.match(ports, [{ port: 80, targetPort: 80, protocol: "TCP" }]);
    const next = await cluster.apply(service(namespace, "a", [{ port: 81 }]), lateSignal());
    t.equal(specOf(next).clusterIP, clusterIP);
    t.match(
      specOf(next).ports.map(({ port }) => port),
      [81],
    );
    const moved = { ...service(namespace, "a", [{ port: 81 }]), spec: { ...specOf(made), clusterIP: "None" } };
    await fails(t, cluster.apply(moved, lateSignal()), 422, "Invalid");
  },
  "Service: an address that is asked for is had while it is free, and kept when it is asked for no more": async (
    t,
    { cluster, namespace },
  ) => {
    const made = await cluster.apply(service(namespace, "a", [{ port: 80 }]), lateSignal());
    const { clusterIP } = specOf(made);
    const asking = (name: string): KubeObject => ({
      ...service(namespace, name, [{ port: 80 }]),
      spec: { ...(service(namespace, name, [{ port: 80 }])["spec"] as object), clusterIP, clusterIPs: [clusterIP] },
    });
    await fails(t, cluster.apply(asking("b"), lateSignal()), 422, "Invalid");
    await cluster.delete(made, lateSignal());
    const again = await cluster.apply(asking("a"), lateSignal());
    t.equal(specOf(again).clusterIP, clusterIP);
    const next = await cluster.apply(service(namespace, "a", [{ port: 81 }]), lateSignal());
    t.equal(specOf(next).clusterIP, clusterIP);
  },
  "Service: ports are told apart by port and protocol": async (t, { cluster, namespace, editAs }) => {
    const names = (object: KubeObject): (string | undefined)[] =>
      specOf(object)
        .ports.map(({ name }) => name)
        .sort();
    const ours = [
      { name: "a", port: 80 },
      { name: "b", port: 81 },
    ];
    const made = await cluster.apply(service(namespace, "s", ours), lateSignal());
    await editAs("somebody", refOf(made), (read) => {
      const spec = specOf(read);
      return { ...read, spec: { ...spec, ports: [...spec.ports, { name: "theirs", port: 80, protocol: "UDP" }] } };
    });
    const next = await cluster.apply(
      service(namespace, "s", [
        { name: "c", port: 82 },
        { name: "renamed", port: 80 },
      ]),
      lateSignal(),
    );
    t.strictSame(names(next), ["c", "renamed", "theirs"]);
    const moved = await cluster.apply(
      service(namespace, "s", [{ name: "c", port: 82, targetPort: 8082 }]),
      lateSignal(),
    );
    t.strictSame(names(moved), ["c", "theirs"]);
    t.match(
      specOf(moved).ports.find(({ name }) => name === "c"),
      { targetPort: 8082 },
    );
  },
  "Service: wrong ports are refused, and nothing is written": async (t, { cluster, namespace }) => {
    const bad: readonly (readonly Port[])[] = [
      [],
      [
        { name: "a", port: 80 },
        { name: "a", port: 81 },
      ],
      [{ name: "a", port: 80 }, { port: 81 }],
      [{ port: 0 }],
      [{ port: 65536 }],
      [{ name: "Upper", port: 80 }],
      [{ port: 80, protocol: "tcp" }],
      [{ name: "a".repeat(64), port: 80 }],
    ];
    for (const ports of bad)
      await fails(t, cluster.apply(service(namespace, "s", ports), lateSignal()), 422, "Invalid");
    const twice = service(namespace, "s", [
      { name: "a", port: 80 },
      { name: "b", port: 80 },
    ]);
    await fails(t, cluster.create(twice, lateSignal()), 422, "Invalid");
    await fails(t, cluster.apply(twice, lateSignal()), 422, "Invalid");
    t.equal(await cluster.get(refOf(twice), lateSignal()), undefined);
  },
  "Deployment: env by name; generation counts changes of the spec and of annotations": async (
    t,
    { cluster, namespace, editAs },
  ) => {
    const made = await cluster.apply(
      contractDeployment(namespace, "d", [
        { name: "A", value: "1" },
        { name: "B", value: "1" },
      ]),
      lateSignal(),
    );
    t.equal(made.metadata.generation, 1);
    const noted = await cluster.apply(
      annotated(
        contractDeployment(namespace, "d", [
          { name: "A", value: "1" },
          { name: "B", value: "1" },
        ]),
        { note: "x" },
      ),
      lateSignal(),
    );
    t.equal(noted.metadata.generation, 2);
    const edited = await editAs("somebody", refOf(made), (read) => {
      const text = JSON.stringify(read).replace('"env":[', '"env":[{"name":"THEIRS","value":"1"},');
      return JSON.parse(text) as KubeObject;
    });
    t.equal(edited.metadata.generation, 3);
    const next = await cluster.apply(contractDeployment(namespace, "d", [{ name: "B", value: "2" }]), lateSignal());
    t.strictSame(envOf(next), [
      { name: "THEIRS", value: "1" },
      { name: "B", value: "2" },
    ]);
    t.equal(next.metadata.generation, 4);
    const other = contractDeployment(namespace, "other", []);
    const reselected = { ...other, metadata: { namespace, name: "d" } };
    await fails(t, cluster.apply(reselected, lateSignal()), 422, "Invalid");
  },
  "Deployment: Recreate is refused beside somebody's rollingUpdate, which goes once it was ours": async (
    t,
    { cluster, namespace, editAs },
  ) => {
    const plain = contractDeployment(namespace, "d", []);
    const as = (strategy: object): KubeObject => ({ ...plain, spec: { ...specOf(plain), strategy } });
    const made = await cluster.apply(as({ type: "Recreate" }), lateSignal());
    const theirs = { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } };
    await editAs("somebody", refOf(made), (read) => ({ ...read, spec: { ...specOf(read), strategy: theirs } }));
    await fails(t, cluster.apply(as({ type: "Recreate" }), lateSignal()), 422, "Invalid");
    await cluster.apply(as({ type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 2 } }), lateSignal());
    const next = await cluster.apply(as({ type: "Recreate" }), lateSignal());
    t.strictSame(specOf(next)["strategy"], { type: "Recreate" });
  },
  "NetworkPolicy: ingress is one value": async (t, { cluster, namespace, editAs }) => {
    const made = await cluster.apply(networkPolicy(namespace, "n", [80, 81]), lateSignal());
    t.equal(made.metadata.generation, 1);
    const { ingress } = specOf(networkPolicy(namespace, "n", [80, 81, 82]));
    await editAs("somebody", refOf(made), (read) => ({ ...read, spec: { ...specOf(read), ingress } }));
    const next = await cluster.apply(networkPolicy(namespace, "n", [81]), lateSignal());
    t.strictSame(specOf(next)["ingress"], specOf(networkPolicy(namespace, "n", [81]))["ingress"]);
    t.equal(next.metadata.generation, 3);
  },
};

const hooksOf = (object: KubeObject): readonly Readonly<Record<string, unknown>>[] =>
  object["webhooks"] as readonly Readonly<Record<string, unknown>>[];

/** An apply of `caBundle` alone. */
const bundled = (name: string, hooks: Readonly<Record<string, string>>): KubeObject => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingWebhookConfiguration",
  metadata: { name, namespace: "" },
  webhooks: Object.entries(hooks).map(([hook, caBundle]) => ({ name: hook, clientConfig: { caBundle } })),
});
/** base64 of something that a PEM reader takes: nothing checks the certificate in it. */
const bundle = (text: string): string =>
  Buffer.from(`-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`).toString("base64");

const certificates: Readonly<Record<string, Rule>> = {
  "Secret: its type stays, and what a type asks for must be there": async (t, { cluster, namespace }) => {
    const made = await cluster.apply(secret(namespace, "a", { k: "v" }), lateSignal());
    t.match(made, { type: "Opaque", data: { k: "dg==" } });
    t.strictSame(await must(cluster, refOf(made)), made);
    const tls = { ...secret(namespace, "a", { "tls.crt": "1", "tls.key": "2" }), type: "kubernetes.io/tls" };
    await fails(t, cluster.apply(tls, lateSignal()), 422, "Invalid");
    t.match(await cluster.apply({ ...tls, metadata: { name: "b", namespace } }, lateSignal()), {
      type: "kubernetes.io/tls",
    });
    const half = { ...secret(namespace, "c", { "tls.crt": "1" }), type: "kubernetes.io/tls" };
    await fails(t, cluster.apply(half, lateSignal()), 422, "Invalid");
    await fails(t, cluster.apply(secret(namespace, "c", { "a/b": "" }), lateSignal()), 422, "Invalid");
    const wide = secret(namespace, "c", { k: "a".repeat(1024 * 1024 + 1) });
    await fails(t, cluster.apply(wide, lateSignal()), 422, "Invalid");
    const notBase64 = { ...secret(namespace, "c", {}), data: { k: "not base64" } };
    await fails(t, cluster.apply(notBase64, lateSignal()), 422, "Invalid");
    t.equal(await cluster.get({ kind: "Secret", namespace, name: "c" }, lateSignal()), undefined);
  },
  "MutatingWebhookConfiguration: in no namespace": async (t, { cluster, namespace: name, remove }) => {
    const object = contractWebhooks(name, [{ name: "a.example.test" }]);
    const labels = { of: name };
    const made = await cluster.create({ ...object, metadata: { ...object.metadata, labels } }, lateSignal());
    t.match(made.metadata, { name, namespace: "", generation: 1 });
    const ref: Ref = { kind: "MutatingWebhookConfiguration", namespace: "", name };
    t.strictSame(refOf(made), ref);
    t.strictSame(await must(cluster, ref), made);
    t.strictSame(await cluster.list("MutatingWebhookConfiguration", "", labels, lateSignal()), [made]);
    await remove(ref);
    t.equal(await cluster.get(ref, lateSignal()), undefined);
  },
  "MutatingWebhookConfiguration: an apply of caBundle is that and nothing else": async (t, subject) => {
    const { cluster, namespace: name, editAs, remove } = subject;
    const hooks = ["a.example.test", "b.example.test"].map((hook) => ({ name: hook, timeoutSeconds: 3 }));
    const made = await cluster.create(contractWebhooks(name, hooks), lateSignal());
    const ours = { "a.example.test": bundle("AAAA"), "b.example.test": bundle("AAAA") };
    const first = await cluster.apply(withVersion(bundled(name, ours), version(made)), lateSignal());
    t.equal(first.metadata.generation, 2);
    t.strictSame(
      hooksOf(first).map(({ clientConfig: _, ...rest }) => rest),
      hooksOf(made).map(({ clientConfig: _, ...rest }) => rest),
    );
    for (const hook of hooksOf(first)) {
      t.strictSame(hook["clientConfig"], {
        service: { name: "none", namespace: "none", port: 443 },
        caBundle: bundle("AAAA"),
      });
    }
    t.strictSame(await cluster.apply(bundled(name, ours), lateSignal()), first, "again: nothing changes");
    await fails(t, cluster.apply(withVersion(bundled(name, ours), version(made)), lateSignal()), 409, "Conflict");
    const edited = await editAs("helm", refOf(made), (read) => ({
      ...read,
      webhooks: hooksOf(read).map((hook) => ({ ...hook, timeoutSeconds: 5 })),
    }));
    t.strictSame(await cluster.apply(bundled(name, ours), lateSignal()), edited, "changes of other managers stay");
    const wiped = await editAs("helm", refOf(made), (read) => ({
      ...read,
      webhooks: hooksOf(contractWebhooks(name, hooks)),
    }));
    t.notMatch(wiped, { webhooks: [{ clientConfig: { caBundle: String } }] });
    t.match(await cluster.apply(bundled(name, ours), lateSignal()), {
      webhooks: [{ clientConfig: { caBundle: bundle("AAAA") }, timeoutSeconds: 3 }, {}],
    });
    await remove(refOf(made));
  },
  "MutatingWebhookConfiguration: a webhook that is not there, or no object at all": async (t, subject) => {
    const { cluster, namespace: name, remove } = subject;
    await fails(t, cluster.apply(bundled(name, { "a.example.test": bundle("AAAA") }), lateSignal()), 422, "Invalid");
    const made = await cluster.create(contractWebhooks(name, [{ name: "a.example.test" }]), lateSignal());
    await fails(t, cluster.apply(bundled(name, { "b.example.test": bundle("AAAA") }), lateSignal()), 422, "Invalid");
    t.strictSame(await must(cluster, refOf(made)), made);
    const missing: readonly HookFields[] = [
      { name: "a.example.test", sideEffects: undefined },
      { name: "a.example.test", admissionReviewVersions: undefined },
      { name: "a.example.test", clientConfig: {} },
      { name: "a.example.test", clientConfig: undefined },
      { name: "a.example.test", clientConfig: { service: { name: "a", namespace: "a", path: "/mutate/A_b" } } },
      { name: "a.example.test", clientConfig: { url: "https://a.test", service: { name: "a", namespace: "a" } } },
    ];
    for (const hook of missing) {
      const object = contractWebhooks(`${name}-bad`, [hook]);
      await fails(t, cluster.create(object, lateSignal()), 422, "Invalid");
    }
    const byUrl = { name: "a.example.test", clientConfig: { url: "https://a.test" } };
    const other = await cluster.create(contractWebhooks(`${name}-other`, [byUrl]), lateSignal());
    t.match(hooksOf(other), [{ clientConfig: { url: "https://a.test" }, failurePolicy: "Fail" }]);
    await remove(refOf(other));
    const none = await cluster.create(contractWebhooks(`${name}-none`, []), lateSignal());
    t.notOk("webhooks" in none);
    await remove(refOf(none));
    await remove(refOf(made));
  },
};

const ending: Readonly<Record<string, Rule>> = {
  "a signal that is aborted already: no call, no effect": async (t, { cluster, namespace }) => {
    const signal = AbortSignal.abort();
    const object = configMap(namespace, "a", {});
    const ref = refOf(object);
    await fails(t, cluster.get(ref, signal), 0, "DeadlineExceeded");
    await fails(t, cluster.list("ConfigMap", namespace, {}, signal), 0, "DeadlineExceeded");
    await fails(t, cluster.create(object, signal), 0, "DeadlineExceeded");
    const error = await fails(t, cluster.apply(object, signal), 0, "DeadlineExceeded");
    t.match(error.message, `cannot apply configmaps ${namespace}/a: `);
    t.equal(await cluster.get(ref, lateSignal()), undefined);
  },
};

const rules: Readonly<Record<string, Rule>> = {
  ...reading,
  ...creating,
  ...others,
  ...scales,
  ...locking,
  ...deleting,
  ...owning,
  ...updates,
  ...lists,
  ...certificates,
  ...ending,
};
