/** The reader of the commands that look at a cluster, and what they read of objects that lack fields. */
import t from "tap";
import type { Answer } from "../../src/cluster/answers.ts";
import { ClusterError, type KubeObject } from "../../src/cluster/cluster.ts";
import { createReader } from "../../src/cluster/reader.ts";
import type { Question } from "../../src/cluster/requests.ts";
import { admittedTo, hasReady, metricsPortOf, podSpecOf, portsOf, webhooksOf } from "../../src/checks/objects.ts";
import { isReady } from "../../src/cluster/ready.ts";
import { flowDrawing } from "../../src/commands/audit/drawing.ts";
import type { ReportRow } from "../../src/commands/inject/report.ts";

const signal = AbortSignal.timeout(60_000);
const answering = (...answers: readonly Partial<Answer>[]) => {
  const asked: Question[] = [];
  const left = [...answers];
  const reader = createReader(async (question) => {
    asked.push(question);
    return { code: 200, retryAfter: undefined, warnings: undefined, text: "{}", ...left.shift() };
  });
  return { reader, asked };
};
const pod: KubeObject = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "n" } };
const text = (value: unknown): string => JSON.stringify(value);

t.test("pages", async (t) => {
  const page = (name: string, more?: string) => ({
    text: text({ metadata: { continue: more }, items: [{ metadata: { name, namespace: "n" } }] }),
  });
  const { reader, asked } = answering(page("a", "next"), page("b"));
  const names: unknown[] = [];
  for await (const items of reader.pages("Pod", "", () => signal))
    names.push(...items.map(({ metadata }) => metadata.name));
  t.strictSame(names, ["a", "b"]);
  t.match(asked, [{ path: /\/pods\?limit=\d+$/ }, { path: /&continue=next$/ }]);
});

t.test("a trial pod: warnings, and refusals in any form", async (t) => {
  const { reader, asked } = answering(
    { code: 201, warnings: '299 - "say \\"a\\"", 299 - "b"' },
    { code: 403, text: text({ message: "no" }) },
    { code: 502, text: "<html>" },
  );
  t.strictSame(await reader.tryPod(pod, signal), { code: 201, message: "", warnings: ['say "a"', "b"] });
  t.strictSame(await reader.tryPod(pod, signal), { code: 403, message: "no", warnings: [] });
  t.match(await reader.tryPod(pod, signal), { code: 502, message: "<html>" });
  t.match(asked[0], { method: "POST", path: "/api/v1/namespaces/n/pods?dryRun=All" });
});

t.test("the Events about an object", async (t) => {
  const { reader, asked } = answering({ text: text({ items: [{ metadata: { name: "e", namespace: "n" } }] }) });
  const ref = { kind: "Pod", namespace: "n", name: "p" } as const;
  t.match(await reader.events(ref, signal), [{ kind: "Event", metadata: { name: "e" } }]);
  t.match(asked, [
    { path: "/api/v1/namespaces/n/events?fieldSelector=involvedObject.kind%3DPod%2CinvolvedObject.name%3Dp" },
  ]);
});

t.test("the rights of a user", async (t) => {
  const granted = { code: 201, text: text({ metadata: {}, status: { allowed: true } }) };
  const { reader, asked } = answering(granted, granted, { code: 201, text: text({ metadata: {} }) });
  const right = { verb: "get", group: "", resource: "pods" };
  t.equal(await reader.may("system:serviceaccount:n:a", right, signal), true);
  t.equal(await reader.may("jane", right, signal), true);
  t.equal(await reader.may(undefined, right, signal), false);
  t.match(
    asked.map(({ body }) => body),
    [
      {
        spec: {
          user: "system:serviceaccount:n:a",
          groups: ["system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated"],
        },
      },
      { spec: { user: "jane", groups: ["system:authenticated"] } },
      { kind: "SelfSubjectAccessReview" },
    ],
  );
});

t.test("an object that is gone, a version, and a pod behind the API server", async (t) => {
  const gone = { code: 404, text: text({ kind: "Status", reason: "NotFound", message: "gone" }) };
  const { reader } = answering(gone, { code: 403 }, { text: "{}" }, { text: "metrics" }, { code: 503, text: "no" });
  const ref = { kind: "Pod", namespace: "n", name: "p" } as const;
  t.equal(await reader.get(ref, signal), undefined);
  await t.rejects(reader.version(signal), ClusterError);
  t.equal(await reader.version(signal), "");
  t.equal(await reader.proxied(ref, 1, "/metrics", signal), "metrics");
  await t.rejects(reader.proxied(ref, 1, "/metrics", signal), { message: /no/ });
});

t.test("objects that lack fields", async (t) => {
  t.strictSame([webhooksOf(pod), portsOf(pod), podSpecOf(pod)], [[], [], {}]);
  t.strictSame([hasReady(pod), isReady(pod), metricsPortOf(pod)], [false, false, undefined]);
  t.strictSame(admittedTo(pod, 1), []);
  const policy = (ingress: object) => ({ ...pod, spec: { ingress: [ingress] } });
  t.strictSame(admittedTo(policy({}), 1), [{}], "everybody, to every port");
  t.strictSame(admittedTo(policy({ from: [{}], ports: [{ port: 1 }] }), 1), [{}]);
  t.strictSame(admittedTo(policy({ ports: [{ port: 2 }] }), 1), []);
  t.equal(hasReady({ ...pod, endpoints: [{}] }), true, "not said is yes");
  t.equal(metricsPortOf({ ...pod, spec: { containers: [{ name: "a" }] } }), undefined);
});

t.test("the drawing has the first of each column", async (t) => {
  const row = (index: number): ReportRow => ({
    ...{
      workload: "w",
      namespace: `n-${String(index).padStart(3, "0")}${"x".repeat(60)}`,
      where: "",
      reason: "",
      env: [],
      warnings: [],
    },
    outcome: "inject",
    gateway: "g/gw",
    targets: [{ name: "a", target: `10.0.0.${index}:1`, tunnel: "wg0", assignment: "a" }],
  });
  const drawn = flowDrawing(Array.from({ length: 70 }, (_, index) => row(index)));
  t.match(drawn, /<p>Of each column the first 60\.<\/p>$/);
  t.equal(drawn.match(/>n-/g)?.length, 60);
  t.match(drawn, /x…</);
});
