/**
 * Texts about a hostile pod, in answers, logs and audit logs. They hold no piece of an env's value and no character
 * that steers a terminal, and are bounded.
 */
import "../seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import { pino } from "pino";
import t from "tap";
import { admit, type Context } from "../../src/admit.ts";
import type { Mode } from "../../src/core/config/config.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { createApp } from "../../src/server/app.ts";
import { createMetrics } from "../../src/server/metrics/metrics.ts";
import { configOf, reviewText, scripts } from "../making.ts";

/** Stands for a password: in every value, and in nothing that may be shown. */
const SECRET = "Zq7vXw9K";
const CONTROL = /[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;
/** Characters of one text, and bytes of all that one pod writes into a log. */
const LONGEST_TEXT = 4200;
const LONGEST_LINE = 16_384;

const config = configOf(`
redirect: auto
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8", "*.corp.example.com"]}]
`);
const lines: string[] = [];
const appOf = (mode: Exclude<Mode, "disabled">) => {
  const provision = createProvisioner(createMemoryCluster(), { scripts });
  const context: Context = { config: { ...config, mode }, provision, version: "1" };
  const log = pino({ base: null }, { write: (line: string) => void lines.push(line) });
  return createApp({
    admit: (creation) => admit(creation, context),
    log,
    metrics: createMetrics("0"),
    isReady: () => true,
  });
};
const apps = { enforce: appOf("enforce"), audit: appOf("audit") };

const HOSTS = ["10.0.0.5", "sql.corp.example.com"];
const steering = fc.constantFrom("\u001b[2J", "\r\n", "\0", "\u202e", "\u2028", "\u0085", "\u200b", "", "", "");
const word = fc.constantFrom("A_HOST", "A_PORT", "URL", "NO_PROXY", "DB_PASSWORD", "c", "init");
const named = fc.tuple(word, steering, fc.constantFrom("", "x", "x".repeat(3000))).map((parts) => parts.join(""));
const host = fc.constantFrom(...HOSTS);
const value = fc.oneof(
  host.map((each) => `mssql://u:${SECRET}@${each}:1433/${SECRET}`),
  host.map((each) => `Server=${each};Password=${SECRET};Database=${SECRET}`),
  host.map((each) => `${SECRET}.${each} ${each}/${SECRET} ${SECRET}@${each}`),
  host.map((each) => `mongodb+srv://${SECRET}:${SECRET}@${each}/`),
  fc.constantFrom(`$(${SECRET})`, `$(A_HOST)${SECRET}`, `tcp:10.0.0.5,${SECRET}`, SECRET, ...HOSTS, "1433"),
);
const entry = fc.oneof(
  { weight: 5, arbitrary: fc.record({ name: named, value }) },
  {
    weight: 1,
    arbitrary: fc.record({ name: named, valueFrom: fc.constant({ secretKeyRef: { name: "s", key: "k" } }) }),
  },
);
const container = fc.record({
  name: named,
  env: fc.array(entry, { maxLength: 5 }),
  args: fc.array(value, { maxLength: 2 }),
  envFrom: fc.constantFrom([], [{}]),
});
const good = fc.constantFrom("sql=10.0.0.5:1433", "sql.corp.example.com:1433, x=10.0.0.5:5432");
/** A user pasted an env's value into the annotation, or worse. */
const bad = fc.oneof(
  fc.constantFrom(
    `db=postgres://app:${SECRET}@10.0.0.6:5432/prod`,
    `- targetHost: "postgres://u:${SECRET}@h"\n  targetPort: 1`,
    `- {password: ${SECRET}, targetHost: 10.0.0.5, targetPort: "${SECRET}"}`,
    `- name: Passw0rd.${SECRET}\n  targetHost: 10.0.0.5`,
    `- "token: ${SECRET}`,
  ),
  fc
    .tuple(fc.constantFrom("a=", "- ", "{x", "[", "a=10.0.0."), steering, fc.constantFrom("5:1", ":", "x".repeat(5000)))
    .map((parts) => parts.join("")),
);
const pod = fc.record({
  labels: fc.dictionary(
    fc.tuple(fc.constantFrom("target.flowgen.io/a", "b"), steering).map((parts) => parts.join("")),
    fc.constant("true"),
    { maxKeys: 2 },
  ),
  targets: fc.oneof({ weight: 3, arbitrary: good }, { weight: 1, arbitrary: bad }),
  more: fc.dictionary(
    fc.constantFrom("mode", "gateway", "tunnel", "keep-env"),
    fc.tuple(steering, fc.constantFrom("audit", "wg0", "x")).map((parts) => parts.join("")),
    { maxKeys: 1 },
  ),
  name: named,
  containers: fc.array(container, { minLength: 1, maxLength: 3 }),
  aliases: fc.array(
    fc.record({ ip: fc.constantFrom("10.0.0.5", "192.0.2.1\u001b"), hostnames: fc.array(named, { maxLength: 2 }) }),
    { maxLength: 1 },
  ),
});

const reviewOf = ({
  labels,
  targets,
  more,
  name,
  containers,
  aliases,
}: typeof pod extends fc.Arbitrary<infer P> ? P : never): string => {
  const annotations = {
    "flowgen.io/private-targets": targets,
    ...Object.fromEntries(Object.entries(more).map(([key, text]) => [`flowgen.io/${key}`, text])),
  };
  return reviewText({
    metadata: { name, labels: { "app.kubernetes.io/name": "flowgen", ...labels }, annotations },
    spec: { containers, hostAliases: aliases },
  });
};

type Answer = {
  readonly message?: string;
  readonly response?: {
    readonly patch?: string;
    readonly warnings?: readonly string[];
    readonly auditAnnotations?: Readonly<Record<string, string>>;
    readonly status?: { readonly message: string };
  };
};
const textsOf = ({ message = "", response = {} }: Answer): readonly string[] => [
  message,
  ...(response.warnings ?? []),
  ...Object.values(response.auditAnnotations ?? {}),
  response.status?.message ?? "",
];
/** The status that the webhook writes is shown too, by `kubectl describe`. */
const statusIn = (patch: string | undefined): string => {
  const operations = JSON.parse(Buffer.from(patch ?? "W10=", "base64").toString()) as {
    path: string;
    value?: unknown;
  }[];
  const written = operations.find(({ path }) => path.includes("gateway-status"))?.value;
  return typeof written === "string" ? written : "";
};

t.test("a random hostile pod", async (t) => {
  const shown = new Set<string>();
  const check = async (each: typeof pod extends fc.Arbitrary<infer P> ? P : never, mode: keyof typeof apps) => {
    lines.length = 0;
    const payload = reviewOf(each);
    const answer = await apps[mode].inject({
      method: "POST",
      url: "/mutate",
      payload,
      headers: { "content-type": "application/json" },
    });
    const body = answer.json<Answer>();
    const logged = lines.flatMap((line) => Object.values(JSON.parse(line) as Record<string, unknown>)).map(String);
    for (const text of [...textsOf(body), ...logged]) {
      assert.ok(!CONTROL.test(text), `steers: ${JSON.stringify(text)}`);
      assert.ok(text.length <= LONGEST_TEXT, `${text.length} characters`);
      assert.ok(!text.includes(SECRET), `a value: ${text}`);
      shown.add(text.slice(0, 20));
    }
    assert.ok(!statusIn(body.response?.patch).includes(SECRET));
    assert.ok(lines.join("").length <= LONGEST_LINE, `${lines.join("").length} bytes of log`);
    assert.ok((body.response?.warnings ?? []).join("").length <= 4096);
  };
  await fc.assert(fc.asyncProperty(pod, fc.constantFrom("enforce" as const, "audit" as const), check), {
    numRuns: Number(process.env["RUNS"] ?? 500),
  });
  t.ok(shown.size > 20, `${shown.size} different beginnings of texts`);
});
