/**
 * The function's handler, with the events that AWS documents for each way to reach a function, and with those that
 * emulators made.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import t from "tap";
import { createHandler } from "../../src/commands/serve/function.ts";
import { UsageError } from "../../src/commands/options/options.ts";
import { root } from "../program.ts";
import { review } from "../server/client.ts";

const TOKEN = "0123456789abcdef".repeat(4);
const fixtures = join(root, "test/fixtures/function");
const SOURCES = readdirSync(fixtures, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".json"))
  .map((name) => name.replace(/\.json$/, ""));
const config = readFileSync(join(root, "examples/webhook-config.yaml"), "utf8");
const settings = {
  FLOWGEN_GATEWAY_CONFIG_YAML: config,
  FLOWGEN_GATEWAY_PATH_TOKEN: TOKEN,
  FLOWGEN_GATEWAY_CLUSTER: "memory",
};

type Event = { readonly headers: Readonly<Record<string, string>>; body: string; isBase64Encoded: boolean };
const eventOf = (source: string, body: string, token = TOKEN): Event => {
  const recorded = readFileSync(join(fixtures, `${source}.json`), "utf8");
  const text = recorded.replaceAll("TOKEN", token).replaceAll("LENGTH", String(Buffer.byteLength(body)));
  return { ...(JSON.parse(text) as Event), body };
};
const inBase64 = (event: Event): Event => ({
  ...event,
  body: Buffer.from(event.body).toString("base64"),
  isBase64Encoded: true,
});

const lines: string[] = [];
const log = pino({ level: "debug" }, { write: (line: string) => lines.push(line) });
const handler = await createHandler(settings, log);

t.test("every way to reach a function is documented, and recorded", async (t) => {
  for (const way of ["alb", "api-gateway-v2", "function-url"]) {
    t.ok(SOURCES.includes(way), way);
    t.ok(
      SOURCES.some((source) => source.startsWith(`recorded/${way}.`)),
      way,
    );
  }
});

for (const source of SOURCES) {
  t.test(`${source}: a pod is redirected, its body as it is or in base64`, async (t) => {
    for (const event of [eventOf(source, review), inBase64(eventOf(source, review))]) {
      const { statusCode, headers, body } = await handler(event, {});
      t.equal(statusCode, 200);
      t.match(headers, { "content-type": /^application\/json/ });
      const { response } = JSON.parse(body) as { response: { uid: string; patch: string } };
      t.match(response, { allowed: true, patchType: "JSONPatch" });
      t.equal(response.uid, (JSON.parse(review) as { request: { uid: string } }).request.uid);
      t.match(Buffer.from(response.patch, "base64").toString(), /flowgen-wireguard-gateway\.flowgen-gateway\.svc/);
    }
  });
  t.test(`${source}: another token, no JSON`, async (t) => {
    const elsewhere = await handler(eventOf(source, review, `${TOKEN}0`), {});
    t.match(elsewhere, { statusCode: 404, body: '{"error":"not found"}' });
    t.match(await handler(eventOf(source, "{"), {}), { statusCode: 400, body: /not JSON/ });
  });
}

t.test("text that is not ASCII comes whole", async (t) => {
  const other = review.replace("MSSQL_HOST", "MSSQL_HOST_ü€");
  t.not(other, review);
  for (const event of [eventOf("function-url", other), inBase64(eventOf("function-url", other))])
    t.match(await handler(event, {}), { statusCode: 200 });
});

t.test("the log has the admissions, and no token", async (t) => {
  const text = lines.join("");
  t.match(text, /"reason":"injected"/);
  t.notMatch(text, TOKEN.slice(0, 16));
});

t.test("the entry that Lambda loads takes its settings from the environment", async (t) => {
  Object.assign(process.env, settings);
  t.teardown(() => Object.keys(settings).forEach((name) => Reflect.deleteProperty(process.env, name)));
  const entry = await import("../../src/function.ts");
  t.match(await entry.handler(eventOf("alb", review, `${TOKEN}0`), {}), { statusCode: 404 });
});

t.test("the config from a file of the package", async (t) => {
  const { FLOWGEN_GATEWAY_CONFIG_YAML: _, ...rest } = settings;
  const path = join(root, "examples/webhook-config.yaml");
  const fromFile = await createHandler({ ...rest, FLOWGEN_GATEWAY_CONFIG: path }, log);
  t.match(await fromFile(eventOf("alb", review), {}), { statusCode: 200 });
});

const { FLOWGEN_GATEWAY_CONFIG_YAML: _yaml, ...unconfigured } = settings;
const mistakes: readonly (readonly [what: string, env: Readonly<Record<string, string>>, says: RegExp])[] = [
  ["no token", { FLOWGEN_GATEWAY_CONFIG_YAML: config }, /FLOWGEN_GATEWAY_PATH_TOKEN holds no token.*openssl rand/],
  ["a short token", { ...settings, FLOWGEN_GATEWAY_PATH_TOKEN: "short" }, /FLOWGEN_GATEWAY_PATH_TOKEN.*32 to 256/],
  ["no config", unconfigured, /cannot read the config config\.yaml.*FLOWGEN_GATEWAY_CONFIG_YAML/],
  [
    "a bad config",
    { ...settings, FLOWGEN_GATEWAY_CONFIG_YAML: "mode: x" },
    /CONFIG_YAML is not a valid config:\n.*mode/,
  ],
  ["a bad file", { ...unconfigured, FLOWGEN_GATEWAY_CONFIG: "BAD" }, /bad\.yaml is not a valid config:\n.*mode/],
  ["a cluster that is none", { ...settings, FLOWGEN_GATEWAY_CLUSTER: "eks" }, /CLUSTER is "eks".*kubeconfig/],
];
for (const [what, env, says] of mistakes) {
  t.test(`a mistake: ${what}`, async (t) => {
    const bad = join(t.testdir({ "bad.yaml": "mode: x" }), "bad.yaml");
    const file = env["FLOWGEN_GATEWAY_CONFIG"] === "BAD" && { FLOWGEN_GATEWAY_CONFIG: bad };
    const error = await createHandler({ ...env, ...file }, log).catch((thrown: unknown) => thrown);
    t.ok(error instanceof UsageError);
    t.match(error, { message: says });
    t.notMatch((error as Error).message, "short");
  });
}
