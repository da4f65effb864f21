/** Every option's mistake, the help, and the exit codes; main.test.ts runs the program as a process. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { runProgram } from "../../src/commands/program/program.ts";
import { root } from "../program.ts";
import { setEnv } from "../environment.ts";

const examples = join(root, "examples");
const example = join(examples, "webhook-config.yaml");
const CONFIG = ["--config", example];

type Env = Readonly<Record<string, string>>;
const run = async (t: Test, args: readonly string[], env: Env = {}) => {
  setEnv(t, { PATH: process.env["PATH"], ...env });
  const printed = { out: "", err: "" };
  const code = await runProgram(args, {
    out: (more) => void (printed.out += more),
    err: (more) => void (printed.err += more),
  });
  return { code, ...printed };
};

t.test("help and version", async (t) => {
  t.match(await run(t, ["--help"]), { code: 0, out: /serve [^]*inject [^]*audit [^]*demo /, err: "" });
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  t.match(await run(t, ["--version"]), { code: 0, out: `${version}\n`, err: "" });
  t.match(await run(t, ["inject", "--help"]), {
    code: 0,
    out: /FLOWGEN_GATEWAY_CONFIG[^]*Exit codes:\n {2}0 {2}done\n {2}1 {2}a workload is rejected/,
    err: "",
  });
});

t.test("the help of every command has examples", async (t) => {
  const [, list = ""] = (await run(t, ["--help"])).out.split("Commands:");
  const names = [...list.matchAll(/^ {2}(\w+) /gm)].map(([, name = ""]) => name).filter((name) => name !== "help");
  t.ok(names.length >= 8);
  for (const name of names)
    t.match((await run(t, [name, "--help"])).out, new RegExp(`\nExamples:\n {2}flowgen-gateway ${name}`), name);
});

const MISTAKES: readonly (readonly [args: readonly string[], err: RegExp, env?: Env])[] = [
  [["injekt"], /unknown command 'injekt'[^]*inject/],
  [["function", "--help"], /unknown command 'function'/],
  [["inject", "-f", "x", "--bogus"], /unknown option '--bogus'/],
  [["audit", "-f", "x", "-n", "Team A"], /namespace's name/],
  [["serve", "--port", "70000"], /whole number from 0 to 65535/, { FLOWGEN_GATEWAY_PLAIN_HTTP: "true" }],
  [["serve"], /'PORT'[^]*whole number from 0 to 65535/, { PORT: "http" }],
  [["serve"], /'FLOWGEN_GATEWAY_PORT'[^]*whole number from 0 to 65535/, { FLOWGEN_GATEWAY_PORT: "http", PORT: "1" }],
  [["serve"], /--port.*FLOWGEN_GATEWAY_PORT.*whole number/, { FLOWGEN_GATEWAY_PORT: "70000" }],
  [["serve", ...CONFIG], /^flowgen-gateway: no certificate: .*\n$/],
  [["serve", "--config", "/nowhere"], /--tls-cert/, { FLOWGEN_GATEWAY_PLAIN_HTTP: "false" }],
  [["serve", "--tls-lifetime", "90"], /minutes, hours or days, as in 90d/],
  [["serve", "--tls-lifetime", "9m"], /10m to 3650d/],
  [["serve", "--tls-lifetime", "9y"], /10m to 3650d/],
  [["serve", "--tls-lifetime", "87601h"], /10m to 3650d/],
  [["serve", "--reload-seconds", "0"], /whole number from 1 to 3600/],
  [["serve", "--tls-names", "a.svc,b_c"], /"b_c" is neither a DNS name nor an IP address/],
  [
    ["inject", "-f", "/nowhere.yaml", ...CONFIG],
    /^flowgen-gateway: cannot read \/nowhere.yaml: ENOENT[^\n]*; check the path, or use -[^\n]*\n$/,
  ],
];
for (const [args, err, env = {}] of MISTAKES) {
  t.test(`mistake: ${args.join(" ").replace(root, "")} ${Object.keys(env).join()}`, async (t) => {
    const result = await run(t, args, env);
    t.match(result, { code: 2, out: "", err });
    t.notMatch(result.err, /^ +at /m, "no stack");
  });
}

t.test("mistakes in the settings of a serverless platform, where no secret is shown", async (t) => {
  const files = t.testdir({ short: "0123" });
  const platform = {
    FLOWGEN_GATEWAY_CLUSTER: "memory",
    FLOWGEN_GATEWAY_PLAIN_HTTP: "true",
    FLOWGEN_GATEWAY_CONFIG_YAML: readFileSync(example, "utf8"),
    PORT: "0",
  };
  const mistakes: readonly (readonly [Env, RegExp])[] = [
    [{ FLOWGEN_GATEWAY_CONFIG_YAML: "mode: x" }, /--config-yaml is not a valid config:\n.*mode/],
    [{ FLOWGEN_GATEWAY_PATH_TOKEN_FILE: join(files, "short") }, /path-token-file: .*short holds no token.*32/],
    [{ FLOWGEN_GATEWAY_PATH_TOKEN_FILE: "/nowhere" }, /--path-token-file: cannot read \/nowhere/],
  ];
  for (const [env, err] of mistakes) {
    const result = await run(t, ["serve"], { ...platform, ...env });
    t.match(result, { code: 2, err });
    t.notMatch(result.err, "0123");
  }
});

t.test("rejected: exit code 1", async (t) => {
  const file = join(examples, "flowgen-deployments.yaml");
  t.match(await run(t, ["inject", "-f", file, ...CONFIG]), {
    code: 1,
    out: /name: flowgen-careful/,
    err: /flowgen-deployments.yaml:74: Deployment team-b\/flowgen-curious: rejected/,
  });
});

t.test("a bug of the program: a stack, and exit code 70", async (t) => {
  const code = await runProgram(["--version"], {
    out: () => {
      throw new TypeError("a bug");
    },
    err: (text) => t.match(text, /^TypeError: a bug\n +at /),
  });
  t.equal(code, 70);
});
