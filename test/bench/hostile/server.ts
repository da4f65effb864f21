/**
 * The bundle in a process of its own with the chart's memory, and what it used: CPU from the kernel, the highest memory
 * too.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { makeServingCertificate } from "../../../src/certificates/issue.ts";
import { root, startProgram } from "../../program.ts";

export type Server = {
  readonly pid: number;
  readonly url: string;
  /** PEM */
  readonly ca: string;
  readonly metric: (name: string) => Promise<number>;
  /** Bytes of log since the start. */
  readonly logged: () => number;
  readonly isAlive: () => boolean;
  readonly stop: () => Promise<void>;
};

const values = parse(readFileSync(join(root, "deploy/helm/flowgen-gateway-webhook/values.yaml"), "utf8")) as {
  readonly resources: { readonly limits: { readonly memory: string } };
};
/** MiB. */
export const LIMIT = Number(values.resources.limits.memory.replace(/Mi$/, ""));

const CONFIG = `
gateways:
  - name: shared
    namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8, "fd00::/8", "*.corp.example.com"]}]
  - name: own
    tunnels: [{name: wg1, secretName: b, allowedTargets: [10.0.0.0/8]}]
defaultGateway: shared
`;
const certificate = await makeServingCertificate(["localhost", "127.0.0.1"], 1, new Date());

/** `mode`: the config's. */
export const startBenchServer = async (mode: "enforce" | "audit" = "enforce"): Promise<Server> => {
  const folder = mkdtempSync(join(tmpdir(), "flowgen-gateway-hostile-"));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  let bytes = 0;
  const program = startProgram(
    [
      // As Node sizes its heap in a container with the chart's limit.
      `--max-old-space-size=${LIMIT}`,
      "--max-semi-space-size=1",
      join(root, "dist/main.js"),
      "serve",
      ...["--cluster=memory", "--host=127.0.0.1", "--port=0", "--metrics-port=0", "--drain-seconds=0"],
      `--config=${file("config.yaml", `mode: ${mode}${CONFIG}`)}`,
      ...[`--tls-cert=${file("tls.crt", certificate.cert)}`, `--tls-key=${file("tls.key", certificate.key)}`],
    ],
    { onLine: (line) => (bytes += line.length + 1) },
  );
  const { child } = program;
  let isAlive = true;
  void program.exit.then(() => (isAlive = false));
  const { url, metrics } = await program.serving();
  return {
    pid: child.pid ?? 0,
    url,
    ca: certificate.ca,
    metric: async (name) => {
      const text = await (await fetch(metrics)).text();
      const samples = text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, "gm"));
      return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
    },
    logged: () => bytes,
    isAlive: () => isAlive,
    stop: async () => {
      child.kill("SIGKILL");
      await program.exit;
      rmSync(folder, { recursive: true });
    },
  };
};

const proc = (pid: number, name: string): string => readFileSync(`/proc/${pid}/${name}`, "utf8");
const MIB = 2 ** 20;

/** Milliseconds of CPU that all threads of a process have used. */
export const cpuMs = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`)
    .map((thread) => Number(proc(pid, `task/${thread}/schedstat`).split(" ")[0]) / 1e6)
    .reduce((sum, ms) => sum + ms, 0);

const memory = (pid: number, field: string): number =>
  (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(proc(pid, "status"))?.[1]) * 1024) / MIB;
/** MiB now; the highest is forgotten. */
export const restOf = (pid: number): number => {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
  return memory(pid, "VmRSS");
};
/** MiB, the most since `restOf`. */
export const highestOf = (pid: number): number => memory(pid, "VmHWM");
