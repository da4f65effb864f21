import { assignmentOf, targetOf } from "../making.ts";
import { readFileSync } from "node:fs";
import { pino } from "pino";
import t from "tap";
import { type Admission, failed, redirected, refused, skipped } from "../../src/core/admission.ts";
import { reject } from "../../src/core/reasons.ts";
import { type AppOptions, createApp } from "../../src/server/app.ts";
import type { PodCreation } from "../../src/admit.ts";
import { deadlineMs } from "../../src/server/deadline.ts";
import { createMetrics } from "../../src/server/metrics/metrics.ts";

const fixture = (name: string): string => readFileSync(new URL(`../fixtures/reviews/${name}`, import.meta.url), "utf8");
const review = fixture("review-pod-create.json");
type Review = { apiVersion?: unknown; kind?: unknown; request: Record<string, unknown> };
const edited = (change: (review: Review) => void): string => {
  const copy = JSON.parse(review) as Review;
  change(copy);
  return JSON.stringify(copy);
};

const setup = (
  admission: Admission | ((creation: PodCreation) => Promise<Admission>),
  more: Partial<AppOptions> = {},
) => {
  const lines: string[] = [];
  const metrics = createMetrics("0");
  const seen: PodCreation[] = [];
  let isReady = true;
  const app = createApp({
    admit: (creation) => {
      seen.push(creation);
      return typeof admission === "function" ? admission(creation) : Promise.resolve(admission);
    },
    log: pino({ base: null }, { write: (line: string) => void lines.push(line) }),
    metrics,
    isReady: () => isReady,
    ...more,
  });
  const post = (payload: string, headers: Record<string, string> = {}, url = "/mutate?timeout=10s") =>
    app.inject({ method: "POST", url, payload, headers: { "content-type": "application/json", ...headers } });
  return { app, metrics, lines, seen, post, drain: () => (isReady = false) };
};
const inject = redirected(
  {
    gateway: "g/gw",
    assignments: [assignmentOf(targetOf("mssql", "10.0.0.5", 1433), { host: "gw.g.svc" })],
    operations: [{ op: "add", path: "/metadata/labels/x", value: "s3cret" }],
    changed: [{ container: "flowgen", env: "MSSQL_HOST", change: "set" }],
    unread: [],
    warnings: ["w".repeat(200)],
  },
  "enforce",
);

t.test(
  "inject: allowed, with a JSON Patch, warnings of at most 120 characters and notes for the audit log",
  async (t) => {
    const { post, lines, seen, metrics } = setup(inject);
    const response = await post(review);
    t.equal(response.statusCode, 200);
    const body = response.json<{ response: { patch: string; warnings: string[] } }>();
    t.match(body, {
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: {
        uid: "259120e5-f956-4bca-9b8c-883a20777fb6",
        allowed: true,
        patchType: "JSONPatch",
        auditAnnotations: {
          outcome: "inject",
          reason: "injected",
          gateway: "g/gw",
          targets: "10.0.0.5:1433=gw.g.svc:1433",
          env: "flowgen/MSSQL_HOST",
        },
      },
    });
    t.strictSame(JSON.parse(Buffer.from(body.response.patch, "base64").toString()), inject.operations);
    t.strictSame(
      body.response.warnings.map((warning) => warning.length),
      [120, 82],
    );
    t.match(seen, [{ namespace: "team-a", dryRun: false }]);
    t.equal(lines.length, 1, "one line an admission");
    t.match(JSON.parse(lines[0] ?? ""), {
      uid: "259120e5-f956-4bca-9b8c-883a20777fb6",
      namespace: "team-a",
      pod: "flowgen-9cbd598c6-",
      outcome: "inject",
      reason: "injected",
      gateway: "g/gw",
      ms: Number,
      msg: "admission",
    });
    t.notMatch(lines.join(), /s3cret/);
    t.match(
      await metrics.registry.metrics(),
      /flowgen_gateway_admissions_total\{outcome="inject",reason="injected"\} 1/,
    );
  },
);

t.test("in mode audit the log line and the audit annotations say what enforce would do, without a value", async (t) => {
  const would = redirected(
    {
      gateway: "g/gw",
      assignments: [assignmentOf(targetOf("mssql", "10.0.0.5", 1433), { host: "gw.g.svc" })],
      operations: [{ op: "add", path: "/metadata/labels/x", value: "s3cret" }],
      changed: [{ container: "flowgen", env: "MSSQL_HOST", change: "set" }],
      unread: [],
      warnings: ["DSN: holds 10.0.0.5 in a form that is not read"],
    },
    "audit",
  );
  const { post, lines } = setup(would);
  const { response } = (await post(review)).json<{ response: { patch?: string; auditAnnotations: object } }>();
  t.equal(response.patch, undefined);
  t.strictSame(Object.entries(response.auditAnnotations).slice(0, 2), [["outcome", "audit"], ["reason", "would-inject"]]); // prettier-ignore
  const told = { targets: "10.0.0.5:1433=gw.g.svc:1433", env: "flowgen/MSSQL_HOST", warnings: "DSN: holds 10.0.0.5 in a form that is not read" }; // prettier-ignore
  t.match(response.auditAnnotations, told);
  t.match(JSON.parse(lines[0] ?? ""), {
    outcome: "audit",
    reason: "would-inject",
    targets: ["10.0.0.5:1433 at gw.g.svc:1433"],
    env: told.env,
    warnings: [told.warnings],
  });
  t.notMatch(lines.join(), /s3cret/);
});

t.test("a pod that audit mode lets through and enforce mode would refuse: the log names its targets", async (t) => {
  const asked = { gateway: "g/gw", targets: [targetOf("mssql", "10.0.0.5", 1433), targetOf("web", "fd00::5", 443)] };
  const { post, lines } = setup(refused(reject("target-forbidden", "x"), "audit", asked));
  const { response } = (await post(review)).json<{ response: object }>();
  t.match(response, { auditAnnotations: { reason: "target-forbidden", targets: "10.0.0.5:1433,[fd00::5]:443" } });
  const told = { reason: "target-forbidden", gateway: "g/gw", targets: ["10.0.0.5:1433", "[fd00::5]:443"] };
  t.match(JSON.parse(lines[0] ?? ""), told);
});

t.test("the other outcomes", async (t) => {
  const skip = (await setup(skipped("not-annotated")).post(review)).json<{ response: unknown }>();
  t.strictSame(skip.response, { uid: "259120e5-f956-4bca-9b8c-883a20777fb6", allowed: true });
  const rejection = refused(reject("target-forbidden", "x"), "enforce", { gateway: "g/gw" });
  t.match((await setup(rejection).post(review)).json(), {
    response: {
      allowed: false,
      status: { code: 403, reason: "target-forbidden", message: /^target-forbidden: x: the target is not/ },
    },
  });
  t.match((await setup(refused(reject("target-forbidden", "x"), "audit")).post(review)).json(), {
    response: {
      allowed: true,
      warnings: [/^audit: [a-z-]+: would be rejected: x/],
      auditAnnotations: { outcome: "audit", reason: "target-forbidden" },
    },
  });
  for (const [reason, code] of [
    ["deadline", 504],
    ["api-error", 503],
  ] as const) {
    const { post, lines } = setup(failed(reason, "cannot get pods", "g/gw"));
    const response = await post(review);
    t.equal(response.statusCode, code, "no review: failurePolicy decides");
    const message = new RegExp(`^${reason}: .*: cannot get pods$`);
    t.match(response.json(), { apiVersion: "v1", kind: "Status", status: "Failure", code, message });
    t.match(JSON.parse(lines[0] ?? ""), { level: 50, outcome: "fail", reason });
  }
});

t.test("reviews other than the creation of a pod are skipped unread", async (t) => {
  const { post, seen } = setup(inject);
  const others = [
    fixture("review-deployment-create.json"),
    edited((copy) => (copy.request["operation"] = "UPDATE")),
    edited((copy) => (copy.request["subResource"] = "ephemeralcontainers")),
    edited((copy) => (copy.request["resource"] = { group: "metrics.k8s.io", version: "v1", resource: "pods" })),
  ];
  for (const other of others) t.match((await post(other)).json(), { response: { allowed: true, patch: undefined } });
  t.strictSame(seen, []);
  t.match((await post(edited((copy) => (copy.request["dryRun"] = true)))).json(), { response: { allowed: true } });
  t.match(seen, [{ dryRun: true }]);
});

t.test("a body that is not a review of this version: 400 with the reason", async (t) => {
  const { post, lines, seen } = setup(inject);
  const bad: [body: string, reason: RegExp][] = [
    ["", /not JSON|empty/i],
    ["{", /the body is not JSON/],
    ["null", /not an AdmissionReview/],
    ["[]", /not an AdmissionReview/],
    ["{}", /not an AdmissionReview: apiVersion/],
    [
      edited((copy) => (copy.apiVersion = "admission.k8s.io/v1beta1")),
      /v1beta1" is not spoken, only admission\.k8s\.io\/v1: list it in the webhook's admissionReviewVersions/,
    ],
    [edited((copy) => (copy.apiVersion = "v1")), /apiVersion: "v1" is not admission\.k8s\.io\/v1/],
    [edited((copy) => (copy.kind = "Pod")), /not an AdmissionReview: kind/],
    [edited((copy) => delete copy.request["uid"]), /request\.uid/],
    [edited((copy) => (copy.request["uid"] = "u".repeat(129))), /request\.uid/],
    [edited((copy) => (copy.apiVersion = `admission.k8s.io/${"v".repeat(9999)}`)), /^.{1,200}$/],
    [
      edited((copy) => (copy.request["object"] = { metadata: {}, spec: {} })),
      /not a pod: request\.object\.spec\.containers/,
    ],
  ];
  for (const [body, reason] of bad) {
    const response = await post(body);
    t.equal(response.statusCode, 400, body.slice(0, 60));
    t.match(response.json(), { kind: "Status", message: reason });
  }
  t.strictSame([lines, seen], [[], []]);
});

t.test("media type, size, method and path", async (t) => {
  const { app, post } = setup(inject);
  t.equal((await post(review, { "content-type": "application/yaml" })).statusCode, 415);
  t.equal((await post(review, { "content-type": "application/json; charset=utf-8" })).statusCode, 200);
  const large = (size: number) => edited((copy) => (copy["request"]["oldObject"] = "x".repeat(size)));
  t.equal((await post(large(6 << 20))).statusCode, 200, "object and old object of 3 MiB each");
  t.equal((await post(large(8 << 20))).statusCode, 413);
  t.equal((await app.inject({ method: "GET", url: "/mutate" })).statusCode, 404);
  const proto = review.replace('"annotations": {', '"annotations": {"__proto__": "x",');
  t.not(proto, review);
  t.equal((await post(proto)).statusCode, 200, "a key __proto__ is a key");
});

t.test("healthy while it runs, ready until it drains", async (t) => {
  const { app, drain } = setup(inject);
  t.equal((await app.inject("/healthz")).statusCode, 200);
  t.equal((await app.inject("/readyz")).statusCode, 200);
  drain();
  t.equal((await app.inject("/readyz")).statusCode, 503);
  t.equal((await app.inject("/healthz")).statusCode, 200);
});

t.test("a bug answers 500, without its message", async (t) => {
  const { post, lines } = setup(() => Promise.reject(new Error("boom s3cret")));
  const response = await post(review);
  t.equal(response.statusCode, 500);
  t.match(response.json(), { kind: "Status", message: "internal error" });
  t.notMatch(response.body, /boom/);
  t.match(lines.join(), /request failed/);
});

t.test("the deadline is the request's timeout less a margin", async (t) => {
  const cases: [timeout: unknown, ms: number][] = [
    ["10s", 9000],
    ["1s", 800],
    ["500ms", 400],
    ["1m", 29_000],
    ["1m30s", 29_000],
    ["2.5s", 2000],
    [undefined, 9000],
    ["", 9000],
    ["0s", 9000],
    ["x", 9000],
    [["10s"], 9000],
  ];
  for (const [timeout, ms] of cases) t.equal(deadlineMs(timeout), ms, String(timeout));
  const { post, seen } = setup(
    () =>
      new Promise((resolve) => {
        seen[0]?.signal().addEventListener("abort", () => resolve(failed("deadline", "x", "g/gw")));
      }),
  );
  t.equal((await post(review, {}, "/mutate?timeout=20ms")).statusCode, 504);
});

t.test("JSON that would fill the memory is refused before it is parsed", async (t) => {
  const { post } = setup(inject);
  const megabytes = (text: string, count: number): string => text.repeat((count * 1_000_000) / text.length);
  const inReview = (object: string): string => review.replace(/"object": \{/, `"other": ${object}, "object": {`);
  const inManyEnv = (count: number): string => {
    const env = Array.from({ length: count }, (_, at) => ({ name: `E${at}`, value: "" }));
    return edited((copy) => (copy.request["object"] = { metadata: {}, spec: { containers: [{ name: "c", env }] } }));
  };
  t.equal((await post(inManyEnv(10_000))).statusCode, 200, "10,000 env are read");
  const hostile: [body: string, problem: RegExp][] = [
    [megabytes("[", 4.4), /more than 200 levels/],
    [`[${megabytes("{},", 6.9)}{}]`, /more than 100000 values/],
    [inReview(`[${megabytes('{"name":1},', 6)}0]`), /more than 100000 values/],
    [inManyEnv(11_000), /more than 32768 values that are read/],
    [inReview(`{"a":${'{"a":'.repeat(20_000)}0${"}".repeat(20_001)}`), /more than 200 levels/],
  ];
  for (const [body, problem] of hostile) {
    const before = process.cpuUsage();
    const response = await post(body);
    const { user, system } = process.cpuUsage(before);
    t.equal(response.statusCode, 413);
    t.match(response.json(), { kind: "Status", message: problem });
    t.ok(user + system < 250_000, `${body.length} bytes: ${user + system} µs`);
  }
  const long = '[{"\\'.repeat(300_000);
  const harmless = inReview(JSON.stringify(long));
  t.equal((await post(harmless)).statusCode, 200, "brackets in a text are text");
  t.equal((await post(harmless.slice(0, -9))).statusCode, 400);
});

t.test("lists in lists that no part of the program may follow", async (t) => {
  const { post, lines } = setup(inject);
  const deep = `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
  const response = await post(review.replace('"dnsPolicy": "ClusterFirst"', `"dnsPolicy": ${deep}`));
  t.equal(response.statusCode, 413);
  t.strictSame(lines, []);
});

t.test("a pod with thousands of faults: the first are named, and the others are not read", async (t) => {
  const { post } = setup(inject);
  const faulty: [object: object, message: RegExp][] = [
    [
      { metadata: {}, spec: { containers: Array(10_000).fill({ name: 1 }) } },
      /containers\[0\]\.name: .*; request\.object\.spec\.containers\[2\]\.name: /,
    ],
    [
      { metadata: { labels: Object.fromEntries(Array.from({ length: 30_000 }, (_, k) => [`k${k}`, 1])) } },
      /labels\.k0: not a text/,
    ],
  ];
  for (const [object, message] of faulty) {
    const body = edited((copy) => (copy.request["object"] = object));
    const before = process.cpuUsage();
    const response = await post(body);
    const { user, system } = process.cpuUsage(before);
    t.match(response.json(), { code: 400, message });
    t.ok(response.body.length < 1000);
    t.ok(user + system < 250_000, `${user + system} µs`);
  }
});

t.test("a review's text in the log is short, and steers no terminal", async (t) => {
  const { post, lines } = setup(
    refused(reject("annotation-invalid", "x\u001b[2J".repeat(10_000)), "enforce", { gateway: "g/gw" }),
  );
  const body = edited((copy) => {
    (copy.request["object"] as { metadata: object }).metadata = { name: `a\u001b[31m${"n".repeat(1_000_000)}` };
  });
  const { message } = (await post(body)).json<{ response: { status: { message: string } } }>().response.status;
  t.equal(lines.length, 1);
  t.ok((lines[0] ?? "").length < 25_000);
  const line = JSON.parse(lines[0] ?? "") as { pod: string; detail: string };
  for (const text of [line.pod, line.detail, message]) t.notMatch(text, /[\0-\x1f]/);
  t.match(line.pod, /^a\\u001b\[31mnnn/);
});

t.test("a path token of any permitted length; no answer repeats a path", async (t) => {
  for (const length of [32, 100, 101, 256]) {
    const token = "t".repeat(length);
    const { post, lines } = setup(inject, { pathToken: token });
    t.equal((await post(review, {}, `/mutate/${token}?timeout=10s`)).statusCode, 200, `${length}`);
    for (const path of [`${token}t`, `${token}%`, `${token}%ff`, `${token}/x`, "t".repeat(5000)]) {
      const response = await post(review, {}, `/mutate/${path}`);
      t.match(response, { statusCode: 404, body: '{"error":"not found"}' });
    }
    t.notMatch(lines.join(), "tttt");
  }
});
