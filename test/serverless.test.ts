/** Served by a public URL: a secret path, and all settings from the environment. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { parse } from "yaml";
import { readConfig } from "../src/core/config/config.ts";
import { pathTokenProblem, tokenMatcher } from "../src/server/path-token.ts";
import { MAIN, plainEnv, root, startProgram } from "./program.ts";
import { review, send } from "./server/client.ts";

const token = "0123456789abcdef".repeat(4);
const config = readFileSync(join(root, "examples/webhook-config.yaml"), "utf8");

const settings = {
  FLOWGEN_GATEWAY_CONFIG_YAML: config,
  FLOWGEN_GATEWAY_CLUSTER: "memory",
  FLOWGEN_GATEWAY_HOST: "127.0.0.1",
  FLOWGEN_GATEWAY_METRICS_PORT: "0",
  FLOWGEN_GATEWAY_PLAIN_HTTP: "true",
  FLOWGEN_GATEWAY_DRAIN_SECONDS: "0",
  FLOWGEN_GATEWAY_LOG_LEVEL: "debug",
  PORT: "0",
};

t.test("only the path with the token is the webhook, and no log shows it", async (t) => {
  const folder = t.testdir({ token: `${token}\n` });
  const path = join(folder, "token");
  const env = { ...plainEnv(), ...settings, FLOWGEN_GATEWAY_PATH_TOKEN_FILE: path };
  const server = startProgram([MAIN, "serve"], { cwd: folder, env });
  t.teardown(() => server.child.kill("SIGKILL"));
  const { url } = await server.serving();
  t.match(await send(`${url}/mutate/${token}?timeout=10s`, { body: review }), { status: 200, body: /"patch"/ });
  const wrong = `${token.slice(0, -1)}0`;
  for (const elsewhere of ["mutate", "mutate/", `mutate/${wrong}`, `mutate/${token}/x`, `mutate/${token}0`]) {
    const answer = await send(`${url}/${elsewhere}?timeout=10s`, { body: review });
    t.match(answer, { status: 404, body: '{"error":"not found"}' }, elsewhere.replace(token, "…"));
  }
  t.match(await send(`${url}/mutate/${token}`, { body: "{" }), { status: 400 });
  t.match(await send(`${url}/readyz`), { status: 200 });
  server.child.kill("SIGTERM");
  t.equal((await server.exit).code, 0);
  const log = JSON.stringify(server.log);
  t.match(log, "admission");
  t.notMatch(log, token.slice(0, 16));
});

t.test("tokens", async (t) => {
  const isToken = tokenMatcher(token);
  t.ok(isToken(token));
  for (const other of ["", token.slice(1), `${token}0`, token.toUpperCase()]) t.notOk(isToken(other));
  t.equal(pathTokenProblem(token), undefined);
  for (const bad of ["", "a".repeat(31), "a".repeat(257), `${token}/`, `${token}\n`]) t.ok(pathTokenProblem(bad));
});

t.test("deploy/knative: the config is valid, and no variables of other Services come along", async (t) => {
  type Service = {
    spec: {
      template: { spec: { enableServiceLinks: boolean; containers: { env: { name: string; value: string }[] }[] } };
    };
  };
  const service = parse(readFileSync(join(root, "deploy/knative/service.yaml"), "utf8")) as Service;
  t.equal(service.spec.template.spec.enableServiceLinks, false);
  const env = service.spec.template.spec.containers[0]?.env ?? [];
  const yaml = env.find(({ name }) => name === "FLOWGEN_GATEWAY_CONFIG_YAML")?.value ?? "";
  t.match(readConfig(yaml), { kind: "config", config: { mode: "audit" } });
});
