// The webhook as it is installed: the manifests of deploy/kustomize, a ServiceAccount's token, a serving certificate; as a process of
// its own, reached by the API server on loopback.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseAllDocuments } from "yaml";
import { makeServingCertificate } from "../../src/server/certificate.ts";
import type { ControlPlane } from "./control-plane.ts";

const root = new URL("../../", import.meta.url);
const NAMESPACE = "flowgen-gateway-webhook";

export type Webhook = {
  /** `/metrics` as text. */
  readonly metrics: () => Promise<string>;
  /** Lines of the log, each a JSON object. */
  readonly log: readonly Readonly<Record<string, unknown>>[];
  /** SIGTERM; returns the exit code. */
  readonly stop: () => Promise<number | null>;
};

export type Installed = {
  /** Starts a process that serves at the registered address. */
  readonly start: () => Promise<Webhook>;
};

/** Runs kubectl, which must succeed. */
export const kubectl = async (controlPlane: ControlPlane, args: readonly string[], input = ""): Promise<string> => {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, { input });
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  return stdout;
};

/**
 * Applies deploy/kustomize/base, with the webhook's address a loopback URL and a certificate made here. Its Deployment is left out: the
 * process that is started plays its pods. `port`: where the webhook will listen.
 */
export const install = async (controlPlane: ControlPlane, config: string, port: number): Promise<Installed> => {
  const file = (name: string): string => join(controlPlane.folder, name);
  const { ca, cert, key } = await makeServingCertificate(["127.0.0.1"], 1, new Date());
  const clientConfig = { url: `https://127.0.0.1:${port}/mutate`, caBundle: Buffer.from(ca).toString("base64") };
  const base = await kubectl(controlPlane, ["kustomize", new URL("deploy/kustomize/base", root).pathname]);
  const items = parseAllDocuments(base)
    .map((document) => document.toJS() as { readonly kind: string; readonly webhooks?: readonly object[] })
    .filter(({ kind }) => kind !== "Deployment")
    .map((object) =>
      object.webhooks === undefined
        ? object
        : { ...object, webhooks: object.webhooks.map((webhook) => ({ ...webhook, clientConfig })) },
    );
  await kubectl(controlPlane, ["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const token = (await kubectl(controlPlane, ["create", "token", NAMESPACE, `--namespace=${NAMESPACE}`])).trim();
  await Promise.all([
    writeFile(file("webhook.yaml"), config),
    writeFile(file("webhook.crt"), cert),
    writeFile(file("webhook.key"), key, { mode: 0o600 }),
    writeFile(file("webhook.kubeconfig"), kubeconfigOf(controlPlane, token), { mode: 0o600 }),
  ]);
  const args = [
    "serve",
    "--cluster=kubeconfig",
    "--host=127.0.0.1",
    `--port=${port}`,
    "--metrics-port=0",
    "--drain-seconds=0",
  ];
  const files = [
    `--config=${file("webhook.yaml")}`,
    `--tls-cert=${file("webhook.crt")}`,
    `--tls-key=${file("webhook.key")}`,
  ];
  return { start: () => started([...args, ...files], file("webhook.kubeconfig")) };
};

const kubeconfigOf = ({ url, ca }: ControlPlane, token: string): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "webhook",
    clusters: [
      { name: "c", cluster: { server: url, "certificate-authority-data": Buffer.from(ca).toString("base64") } },
    ],
    users: [{ name: "u", user: { token } }],
    contexts: [{ name: "webhook", context: { cluster: "c", user: "u" } }],
  });

const started = async (args: readonly string[], kubeconfig: string): Promise<Webhook> => {
  const child = spawn(process.execPath, [new URL("src/main.ts", root).pathname, ...args], {
    env: { ...process.env, KUBECONFIG: kubeconfig },
    stdio: ["ignore", "pipe", "inherit"],
  });
  // Nothing outlives the test: it is ended with the process that started it.
  const end = (): void => void child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
  const log: Readonly<Record<string, unknown>>[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => log.push(JSON.parse(line) as Record<string, unknown>));
  await Promise.race([
    serving(lines, log),
    once(child, "exit").then(() => Promise.reject(new Error("the webhook ended"))),
  ]);
  const metricsUrl = String(log.find(({ msg }) => msg === "serving")?.["metrics"]);
  return { log, metrics: async () => (await fetch(metricsUrl)).text(), stop: () => stopped(child) };
};

const serving = async (lines: ReturnType<typeof createInterface>, log: Webhook["log"]): Promise<void> => {
  while (!log.some(({ msg }) => msg === "serving")) await once(lines, "line");
};

const stopped = async (child: ChildProcess): Promise<number | null> => {
  if (child.exitCode !== null) return child.exitCode;
  const exit = once(child, "exit") as Promise<[number | null]>;
  child.kill("SIGTERM");
  return (await exit)[0];
};
