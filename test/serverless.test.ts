/** Served by a URL that anybody can reach: a secret path, and all settings from the environment. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";
import { parse } from "yaml";
import { readConfig } from "../src/core/config.ts";
import { pathTokenProblem, tokenMatcher } from "../src/server/path-token.ts";
import { review, root, send } from "./server/client.ts";

const token = "0123456789abcdef".repeat(4);
const folder = t.testdir({ token: `${token}\n`, short: "0123" });
const config = readFileSync(join(root, "examples/webhook-config.yaml"), "utf8");

const serve = (env: Readonly<Record<string, string>>) => {
  const settings = {
    FLOWGEN_GATEWAY_CLUSTER: "memory",
    FLOWGEN_GATEWAY_HOST: "127.0.0.1",
    FLOWGEN_GATEWAY_METRICS_PORT: "0",
    FLOWGEN_GATEWAY_PLAIN_HTTP: "true",
    FLOWGEN_GATEWAY_DRAIN_SECONDS: "0",
    FLOWGEN_GATEWAY_LOG_LEVEL: "debug",
    PORT: "0",
  };
  const child = spawn(process.execPath, [join(root, "src/main.ts"), "serve"], {
    cwd: folder,
    env: { PATH: process.env["PATH"], ...settings, ...env },
  });
  const lines: string[] = [];
  const url = new Promise<string>((resolve) => {
    createInterface(child.stdout).on("line", (line) => {
      lines.push(line);
      const { msg, url } = JSON.parse(line) as { msg: string; url: string };
      if (msg === "serving") resolve(url);
    });
  });
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (more: string) => (err += more));
  const exit = new Promise<{ code: number | null; err: string }>((resolve) => {
    child.once("close", (code) => {
      resolve({ code, err });
    });
  });
  return { child, lines, url, exit };
};

t.test("only the path with the token is the webhook, and no log shows it", async (t) => {
  const path = join(folder, "token");
  const server = serve({ FLOWGEN_GATEWAY_CONFIG_YAML: config, FLOWGEN_GATEWAY_PATH_TOKEN_FILE: path });
  t.teardown(() => server.child.kill("SIGKILL"));
  const url = await server.url;
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
  const log = server.lines.join("\n");
  t.match(log, "admission");
  t.notMatch(log, token.slice(0, 16));
});

t.test("mistakes", async (t) => {
  const mistakes: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{ FLOWGEN_GATEWAY_CONFIG_YAML: "mode: x" }, /--config-yaml is not a valid config:\n.*mode/],
    [
      { FLOWGEN_GATEWAY_CONFIG_YAML: config, FLOWGEN_GATEWAY_PATH_TOKEN_FILE: join(folder, "short") },
      /path-token-file: .*short holds no token.*32/,
    ],
    [
      { FLOWGEN_GATEWAY_CONFIG_YAML: config, FLOWGEN_GATEWAY_PATH_TOKEN_FILE: "/nowhere" },
      /--path-token-file: cannot read \/nowhere/,
    ],
  ];
  for (const [env, err] of mistakes) {
    const result = await serve(env).exit;
    t.match(result, { code: 2, err });
    t.notMatch(result.err, "0123");
  }
});

t.test("tokens", async (t) => {
  const isToken = tokenMatcher(token);
  t.ok(isToken(token));
  for (const other of ["", token.slice(1), `${token}0`, token.toUpperCase()]) t.notOk(isToken(other));
  t.equal(pathTokenProblem(token), undefined);
  for (const bad of ["", "a".repeat(31), "a".repeat(257), `${token}/`, `${token}\n`]) t.ok(pathTokenProblem(bad));
});

t.test("deploy/knative: the config is valid", async (t) => {
  type Service = { spec: { template: { spec: { containers: { env: { name: string; value: string }[] }[] } } } };
  const service = parse(readFileSync(join(root, "deploy/knative/service.yaml"), "utf8")) as Service;
  const env = service.spec.template.spec.containers[0]?.env ?? [];
  const yaml = env.find(({ name }) => name === "FLOWGEN_GATEWAY_CONFIG_YAML")?.value ?? "";
  t.match(readConfig(yaml), { kind: "config", config: { mode: "audit" } });
});
