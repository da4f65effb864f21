import { readFileSync } from "node:fs";
import { pino } from "pino";
import t from "tap";
import { admit } from "../../src/admit.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { createApp } from "../../src/server/app.ts";
import { createMetrics } from "../../src/server/metrics/metrics.ts";
import { configOf, ONE_GATEWAY, scripts } from "../making.ts";

const read = (name: string): string => readFileSync(new URL(`../fixtures/reviews/${name}`, import.meta.url), "utf8");
type Marks = { labels?: Record<string, string>; annotations?: Record<string, string> };
type Template = { metadata: Marks; spec: object };
type Review = {
  request: { uid: string; namespace: string; object: { metadata: Marks; spec: { template: Template } } };
};
const fixture = JSON.parse(read("review-deployment-create.json")) as Review;

const memory = createMemoryCluster();
const setup = () => {
  const provision = createProvisioner(memory, { scripts });
  const context = { config: configOf(ONE_GATEWAY), provision, version: "0" };
  const log = pino({ enabled: false });
  return createApp({
    admit: (creation) => admit(creation, context),
    log,
    metrics: createMetrics("0"),
    isReady: () => true,
  });
};
const app = setup();
t.teardown(() => app.close());

type Answer = { response: { uid: string; allowed: boolean; patch?: string; warnings?: readonly string[] } };
const FLOWGEN = { "app.kubernetes.io/name": "flowgen" };
/** The warnings about a Deployment with such a template. */
const warned = async (template: Partial<Marks>, own: Marks = {}, spec: object = { containers: [{ name: "app" }] }) => {
  const review = structuredClone(fixture);
  review.request.object.metadata = own;
  review.request.object.spec.template = { metadata: { labels: FLOWGEN, ...template }, spec };
  const payload = JSON.stringify(review);
  const headers = { "content-type": "application/json" };
  const answer = await app.inject({ method: "POST", url: "/warn?timeout=2s", payload, headers });
  t.equal(answer.statusCode, 200);
  const { response } = answer.json<Answer>();
  t.match(response, { uid: review.request.uid, allowed: true });
  t.equal(response.patch, undefined);
  return response.warnings ?? [];
};
const asking = (text: string): Marks => ({ annotations: { "flowgen.io/private-targets": text } });

t.test("each pod's address, or why it will be refused: the code first, never cut, and never blocking", async (t) => {
  t.strictSame(
    (await warned(asking("db=10.0.0.5:1433")))[0],
    "injected: 10.0.0.5:1433 at flowgen-wireguard-gateway.flowgen-gateway.svc:1433",
  );
  const refused = await warned(asking("db=192.168.0.5:1433"));
  t.match(refused[0], /^target-not-allowed: each pod will be refused: /);
  t.ok(refused.every((text) => text.length <= 120));
  t.match(refused.map((text) => text.replace(/^… /, "")).join(" "), /ask the admin to add it to allowedTargets$/);
  t.strictSame(memory.all(), [], "nothing is written");
});

t.test("near misses", async (t) => {
  t.match(await warned({ annotations: { "flowgen.io/private-target": "x" } }), [
    /did you mean flowgen.io\/private-targets/,
  ]);
  t.match(await warned({}, asking("db=10.0.0.5:1433")), [/stands on the workload: put it on spec.template/]);
  t.match(
    await warned(
      asking("db=10.0.0.5:14333"),
      {},
      {
        containers: [{ name: "app", env: [{ name: "MSSQL_HOST", value: "10.0.0.5:1433" }] }],
      },
    ),
    [/^injected/, /MSSQL_HOST is 10.0.0.5 with port 1433, the annotation says 14333/, /no env was rewritten for it/],
  );
  t.strictSame(await warned({}), []);
});

t.test("reviews without a workload", async (t) => {
  const headers = { "content-type": "application/json" };
  t.equal((await app.inject({ method: "POST", url: "/warn", payload: "{}", headers })).statusCode, 400);
  // A parser would make objects of 100 MiB of each before they could be read.
  for (const body of ["[".repeat(2_000_000), `[${"{},".repeat(1_500_000)}{}]`])
    t.match(await app.inject({ method: "POST", url: "/warn", payload: body, headers }), {
      statusCode: 413,
      body: /more than/,
    });
  t.match(await app.inject({ method: "POST", url: "/warn", payload: "{,}", headers }), {
    statusCode: 400,
    body: /is not JSON/,
  });
  t.equal((await app.inject({ method: "POST", url: "/warn" })).statusCode, 400);
  const payload = JSON.stringify({ ...fixture, request: { uid: "u", namespace: "a", object: null } });
  t.strictSame((await app.inject({ method: "POST", url: "/warn", payload, headers })).json<Answer>().response, {
    uid: "u",
    allowed: true,
  });
});
