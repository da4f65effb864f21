/** Properties of every pod, with any env: checked on the whole admission. */
import "./seed.ts";
import fc from "fast-check";
import t from "tap";
import { admit } from "../src/admit.ts";
import { createMemoryCluster } from "../src/emulator/memory.ts";
import { createProvisioner } from "../src/provisioning/provisioner.ts";
import type { Admission } from "../src/core/admission.ts";
import type { Container, EnvVar, Pod } from "../src/core/pod.ts";
import { configOf, patched, podOf, scripts } from "./making.ts";

const config = configOf(
  'gateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8", "fd00::/8", "*.example.com"]}]}]',
);
const TARGETS = [
  "a=10.0.0.5:1433",
  "b=10.0.0.6:1433",
  "c=10.0.0.5:5432",
  "d=db.example.com:5432",
  "e=[fd00::5]:6379",
  "- {name: f, targetHost: 10.0.0.7, targetPort: 9042, hostEnv: F_HOST, portEnv: F_PORT}",
];

const host = fc.constantFrom(
  "10.0.0.5",
  "10.0.0.6",
  "10.0.0.7",
  "10.0.0.50",
  "db.example.com",
  "DB.example.com.",
  "xdb.example.com",
  "[fd00::5]",
  "fd00:0::5",
  "$(A_HOST)",
);
const port = fc.constantFrom("", ":1433", ":5432", ":6379", ":9999", "$(A_PORT)");
const value = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        fc.constantFrom(
          "",
          "postgres://u:p@",
          "nats://",
          "redis://",
          "Server=tcp:",
          "host=",
          "jdbc:sqlserver://",
          "foo://",
        ),
        host,
        port,
        fc.constantFrom("", "/x", "?y=10.0.0.5", ",10.0.0.6:1433", ";Database=x", " port=5432"),
      )
      .map((parts) => parts.join("")),
  },
  { weight: 1, arbitrary: fc.constantFrom("1433", "5432", "6379", "9042") },
  { weight: 1, arbitrary: fc.string() },
);
const name = fc.constantFrom(
  "A_HOST",
  "A_PORT",
  "B_SERVER",
  "B_PORT",
  "PGHOST",
  "PGPORT",
  "URL",
  "F_HOST",
  "OTHER",
  "C_PORT",
);
const env = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ name, value }) },
    { weight: 1, arbitrary: name.map((name) => ({ name, valueFrom: { secretKeyRef: { name: "s", key: "k" } } })) },
  ),
  { maxLength: 6 },
);
const pod = fc
  .record({
    targets: fc.subarray(TARGETS.slice(0, 5), { minLength: 1 }),
    isNamed: fc.boolean(),
    env: fc.option(env, { nil: undefined }),
    init: env,
  })
  .map(({ targets, isNamed, env, init }): Pod => {
    const base = podOf(isNamed ? TARGETS[5] : targets.join(","));
    const container = (name: string, list: readonly EnvVar[] | undefined) => ({
      name,
      image: "x",
      ...(list && { env: [...list] }),
    });
    const spec = {
      containers: [container("flowgen", env)],
      initContainers: [container("init", init)],
      restartPolicy: "Always",
    };
    return { ...base, spec };
  });

const webhook = (isForgetful = false) => {
  const provision = createProvisioner(createMemoryCluster(), { scripts });
  const { signal } = new AbortController();
  const context = { config, provision, version: "1.2.3" };
  return (pod: Pod): Promise<Admission> =>
    admit(
      { pod, namespace: "team-a", dryRun: false, signal: () => signal },
      isForgetful ? { ...context } : context, // all that is kept is kept with its context
    );
};
const containersOf = (pod: Pod): readonly Container[] => [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];

t.test("the patch applied gives a pod that a second admission leaves alone", async () => {
  await fc.assert(
    fc.asyncProperty(pod, async (before) => {
      const admitPod = webhook();
      const first = await admitPod(before);
      if (first.outcome !== "inject") throw new Error(`${first.outcome} ${first.reason} ${first.message}`);
      const second = await admitPod(patched(before, first.operations));
      if (second.reason !== "unchanged")
        throw new Error(`second: ${second.reason} ${JSON.stringify(second.operations)}`);
    }),
    { numRuns: 400 },
  );
});

t.test("only the webhook's marks and the named env change", async () => {
  await fc.assert(
    fc.asyncProperty(pod, async (before) => {
      const admission = await webhook()(before);
      const after = patched(before, admission.operations);
      const named = new Set(admission.changed.map(({ container, env }) => `${container}/${env}`));
      const bare = (pod: Pod): string =>
        JSON.stringify({
          ...pod,
          metadata: {
            ...pod.metadata,
            labels: Object.entries(pod.metadata.labels ?? {}).filter(([key]) => !/^(target\.)?flowgen\.io\//.test(key)),
            annotations: { ...pod.metadata.annotations, "flowgen.io/gateway-status": "" },
          },
          spec: {
            ...pod.spec,
            containers: [],
            initContainers: containersOf(pod).map(({ env, ...rest }) => ({
              ...rest,
              env: (env ?? []).filter(({ name }) => !named.has(`${rest.name}/${name}`)),
            })),
          },
        });
      if (bare(before) !== bare(after)) throw new Error(`changed:\n${bare(before)}\n${bare(after)}`);
    }),
    { numRuns: 300 },
  );
});

t.test("no password leaves the patch", async () => {
  await fc.assert(
    fc.asyncProperty(pod, fc.constantFrom("URL", "A_HOST", "OTHER"), async (before, name) => {
      const secret = "hunter2";
      const container: Container = {
        name: "flowgen",
        env: [{ name, value: `postgres://u:${secret}@10.0.0.5:1433/x` }, ...(before.spec.containers[0]?.env ?? [])],
      };
      const { operations: _, ...rest } = await webhook()({
        ...before,
        spec: { ...before.spec, containers: [container] },
      });
      if (JSON.stringify(rest).includes(secret)) throw new Error(JSON.stringify(rest));
    }),
    { numRuns: 200 },
  );
});

t.test("the memos of former admissions change no answer", async () => {
  const changed = (pod: Pod, what: number): Pod => {
    const { metadata, spec } = pod;
    const [first = { name: "flowgen" }, ...others] = spec.containers;
    const annotate = (key: string, value: string): Pod => ({
      spec,
      metadata: { ...metadata, annotations: { ...metadata.annotations, [key]: value } },
    });
    const variants: readonly Pod[] = [
      pod,
      annotate("flowgen.io/mode", "audit"),
      annotate(
        "flowgen.io/gateway-status",
        '{"gateway":"g/x","targets":{"10.0.0.5:1433":"old.g.svc:7"},"env":[],"version":"1"}',
      ),
      { spec, metadata: { ...metadata, labels: { ...metadata.labels, "target.flowgen.io/x": "true" } } },
      { metadata, spec: { ...spec, hostNetwork: true } },
      { metadata, spec: { ...spec, dnsPolicy: "None" } },
      { metadata, spec: { ...spec, initContainers: [] } },
      { metadata, spec: { ...spec, containers: [{ ...first, name: "other" }, ...others] } },
      { metadata, spec: { ...spec, containers: [{ ...first, envFrom: [{ secretRef: { name: "s" } }] }, ...others] } },
      {
        metadata,
        spec: { ...spec, containers: [{ ...first, env: [{ name: "A_HOST", value: "10.0.0.5" }] }, ...others] },
      },
    ];
    return variants[what] ?? pod;
  };
  const series = fc.array(fc.tuple(fc.nat(2), fc.nat(9)), { minLength: 4, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.array(pod, { minLength: 3, maxLength: 3 }), series, async (pods, steps) => {
      const [keeping, forgetful] = [webhook(), webhook(true)];
      for (const [which, what] of steps) {
        const asked = changed(pods[which] as Pod, what);
        const [kept, fresh] = [await keeping(asked), await forgetful(asked)].map((answer) => JSON.stringify(answer));
        if (kept !== fresh) throw new Error(`${kept}\n${fresh}`);
      }
    }),
    { numRuns: 100 },
  );
});
