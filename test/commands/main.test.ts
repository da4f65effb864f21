/** The program as people run it. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { files } from "./injecting.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));
const CONFIG = ["--config", `${EXAMPLES}webhook-config.yaml`];

type Setting = { readonly env?: Record<string, string>; readonly stdin?: string; readonly stopReading?: boolean };
const main = (args: readonly string[], { env = {}, stdin = "", stopReading = false }: Setting = {}) =>
  new Promise<{ code: number | null; out: string; err: string }>((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (more: string) => {
      out += more;
      if (stopReading) child.stdout.destroy();
    });
    child.stderr.setEncoding("utf8").on("data", (more: string) => (err += more));
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, out, err });
    });
    child.stdin.on("error", () => undefined).end(stdin);
  });

t.jobs = 3;
const parallel = { buffered: true };

t.test("help and version", parallel, async (t) => {
  const [help, version, inject] = await Promise.all([
    main(["--help"]),
    main(["--version"]),
    main(["inject", "--help"]),
  ]);
  t.match(help, { code: 0, out: /serve [^]*inject [^]*audit [^]*demo /, err: "" });
  const { version: wanted } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  t.match(version, { code: 0, out: `${wanted}\n` });
  t.match(inject, {
    code: 0,
    out: /FLOWGEN_GATEWAY_CONFIG[^]*Exit codes:\n {2}0 {2}done\n {2}1 {2}a workload is rejected/,
  });
});

const MISTAKES: readonly (readonly [args: string[], err: RegExp, env?: Record<string, string>])[] = [
  [["injekt"], /unknown command 'injekt'[^]*inject/],
  [["inject", "-f", "x", "--bogus"], /unknown option '--bogus'/],
  [["audit", "-f", "x", "-n", "Team A"], /namespace's name/],
  [["serve", "--port", "70000"], /whole number from 0 to 65535/, { FLOWGEN_GATEWAY_PLAIN_HTTP: "true" }],
  [["serve"], /'PORT'[^]*whole number from 0 to 65535/, { PORT: "http" }],
  [["serve"], /'FLOWGEN_GATEWAY_PORT'[^]*whole number from 0 to 65535/, { FLOWGEN_GATEWAY_PORT: "http", PORT: "1" }],
  [["serve", "--config", "/nowhere"], /--tls-cert/, { FLOWGEN_GATEWAY_PLAIN_HTTP: "false" }],
  [["serve", "--tls-lifetime", "90"], /minutes, hours or days, as in 90d/],
  [["serve", "--tls-lifetime", "9m"], /10m to 3650d/],
  [["serve", "--tls-names", "a.svc,b_c"], /"b_c" is neither a DNS name nor an IP address/],
  [
    ["inject", "-f", "/nowhere.yaml", ...CONFIG],
    /^flowgen-gateway: cannot read \/nowhere.yaml: ENOENT[^\n]*; check the path, or use -[^\n]*\n$/,
  ],
];
for (const [args, err, env = {}] of MISTAKES) {
  t.test(`mistake: ${args.join(" ")} ${Object.keys(env).join()}`, parallel, async (t) => {
    const result = await main(args, { env });
    t.match(result, { code: 2, out: "", err });
    t.notMatch(result.err, /^ +at /m, "no stack");
  });
}

t.test("standard input, settings from the environment", parallel, async (t) => {
  const env = { FLOWGEN_GATEWAY_CONFIG: CONFIG[1] ?? "", FLOWGEN_GATEWAY_NAMESPACE: "team-b" };
  const pod = `kind: Pod\nmetadata: {name: a, labels: {app.kubernetes.io/name: flowgen}, annotations: {flowgen.io/private-targets: "db=10.0.0.5:1433"}}\nspec: {containers: []}\n`;
  t.match(await main(["audit", "-f", "-"], { env, stdin: pod }), { code: 0, out: /Pod team-b\/a +inject/, err: "" });
});

t.test("rejected: exit code 1", parallel, async (t) => {
  const file = `${EXAMPLES}flowgen-deployments.yaml`;
  t.match(await main(["inject", "-f", file, ...CONFIG]), { code: 1, out: "", err: /flowgen-curious: rejected/ });
});

t.test("a large output through a pipe is whole; a reader may stop early", parallel, async (t) => {
  const text = Array.from({ length: 3000 }, (_, n) => `# ${n} ${"x".repeat(100)}\n`).join("");
  const { file } = files(t, text);
  const [whole, stopped] = await Promise.all([
    main(["inject", "-f", file, ...CONFIG]),
    main(["inject", "-f", file, ...CONFIG], { stopReading: true }),
  ]);
  t.equal(whole.code, 0);
  t.ok(whole.out === text, "to the last byte");
  t.equal(stopped.err, "", "no stack");
});

t.test("demo", parallel, async (t) => {
  const { code, out, err } = await main(["demo"]);
  t.equal(code, 0, err);
  t.match(
    out,
    /3 replicas[^]*pod 3 of team-a\/flowgen: patched[^]*denied[^]*403[^]*audit mode[^]*FORWARD[^]*All as it should be/,
  );
  t.match(out, "postgres://app:***@flowgen-wireguard-gateway.flowgen-gateway.svc:5432/prod");
  t.notMatch(out, /s3cret/);
});
