/** The program as a process of its own; program.test.ts has every mistake, and its help. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { MAIN, plainEnv, unhooked } from "../program.ts";
import { files } from "./injecting.ts";

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));
const CONFIG = ["--config", `${EXAMPLES}webhook-config.yaml`];

type Setting = { readonly env?: Record<string, string>; readonly stdin?: string; readonly stopReading?: boolean };
const main = (args: readonly string[], { env = {}, stdin = "", stopReading = false }: Setting = {}) =>
  new Promise<{ code: number | null; out: string; err: string }>((resolve, reject) => {
    const child = spawn(...unhooked(process.execPath, MAIN, ...args), { env: { ...plainEnv(), ...env } });
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

t.test("a mistake: its reason without a stack, exit code 2", parallel, async (t) => {
  const mistake = await main(["injekt"]);
  t.match(mistake, { code: 2, out: "", err: /unknown command 'injekt'[^]*inject/ });
  t.notMatch(mistake.err, /^ +at /m);
});

t.test("an output that cannot be written is an error, unless its reader has stopped", parallel, async (t) => {
  const full = openSync("/dev/full", "w");
  t.teardown(() => closeSync(full));
  const child = spawn(...unhooked(process.execPath, MAIN, "--help"), {
    env: plainEnv(),
    stdio: ["ignore", full, "pipe"],
  });
  const err = child.stderr?.setEncoding("utf8").toArray();
  const [code] = (await once(child, "close")) as [number];
  t.not(code, 0);
  t.match((await err)?.join(""), /ENOSPC/);
});

t.test("standard input, settings from the environment", parallel, async (t) => {
  const env = { FLOWGEN_GATEWAY_CONFIG: CONFIG[1] ?? "", FLOWGEN_GATEWAY_NAMESPACE: "team-b" };
  const pod = `kind: Pod\nmetadata: {name: a, labels: {app.kubernetes.io/name: flowgen}, annotations: {flowgen.io/private-targets: "db=10.0.0.5:1433"}}\nspec: {containers: []}\n`;
  t.match(await main(["audit", "-f", "-"], { env, stdin: pod }), {
    code: 0,
    out: /Pod team-b\/a +inject/,
    err: /^no --cluster: .*\n1 injected, .*\n$/,
  });
});

t.test("npm --prefix CHECKOUT run: paths are the caller's", parallel, async (t) => {
  const folder = t.testdir({ "pod.yaml": "kind: Pod\nmetadata: {name: here, namespace: a}\nspec: {containers: []}\n" });
  const env = { npm_lifecycle_event: "flowgen-gateway", INIT_CWD: folder };
  t.match(await main(["inject", "-f", "pod.yaml", ...CONFIG], { env }), { code: 0, out: /name: here/ });
});

t.test("a large output through a pipe is whole; a reader may stop early", parallel, async (t) => {
  const text = Array.from({ length: 3000 }, (_, n) => `# ${n} ${"x".repeat(100)}\n`).join("");
  const {
    file: [file = ""],
  } = files(t, text);
  const [whole, stopped] = await Promise.all([
    main(["inject", "-f", file, ...CONFIG]),
    main(["inject", "-f", file, ...CONFIG], { stopReading: true }),
  ]);
  t.equal(whole.code, 0);
  t.ok(whole.out === text, "to the last byte");
  t.match(stopped.err, /^no workload found \(0 documents of other kinds\)\n$/, "no stack");
});

/** The program with standard error on a terminal of its own, by script(1). */
const onTerminal = async (command: string, env: Record<string, string>): Promise<string> => {
  const child = spawn(...unhooked("script", "--quiet", "--return", "--command", command, "/dev/null"), {
    env: { ...plainEnv(), TERM: "xterm-256color", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  return (await child.stdout.setEncoding("utf8").toArray()).join("");
};

t.test("on a terminal: colours, unless NO_COLOR is set, and progress, which goes away", parallel, async (t) => {
  const bad = `kind: Pod\nmetadata: {name: a, namespace: x, labels: {app.kubernetes.io/name: flowgen}, annotations: {flowgen.io/private-targets: "db=1.2.3.4:1433"}}\nspec: {containers: []}\n`;
  const {
    file: [file = ""],
  } = files(t, `${"---\nkind: Service\nmetadata: {name: a}\n".repeat(6000)}---\n${bad}`);
  const command = [process.execPath, MAIN, "inject", "-f", file, ...CONFIG].join(" ");
  const [coloured, plain] = await Promise.all([
    onTerminal(`${command} >/dev/null`, {}),
    onTerminal(`${command} >/dev/null`, { NO_COLOR: "1" }),
  ]);
  t.match(coloured, /\u001b\[31mrejected\u001b\[39m: /);
  t.match(plain, / rejected: /);
  t.notMatch(plain, /\u001b\[3\dm/);
  for (const said of [coloured, plain]) {
    t.match(said, /\r\d+ documents/, "progress");
    t.match(said, /\r\u001b\[K.*rejected/, "it is gone before a finding");
  }
});
