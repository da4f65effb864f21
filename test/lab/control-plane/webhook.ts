// The webhook as it is installed: the manifests of deploy/kustomize, a ServiceAccount's token, a serving certificate.
// It is a process of its own, which the API server reaches on loopback.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { makeServingCertificate } from "../../../src/certificates/issue.ts";
import { MAIN, plainEnv, root, startCommand } from "../../program.ts";
import type { ControlPlane } from "./control-plane.ts";
import { tied } from "./daemon.ts";

const NAMESPACE = "flowgen-gateway-webhook";

export type Webhook = {
  readonly pid: number;
  /** Where it serves. */
  readonly url: string;
  /** `/metrics` as text. */
  readonly metrics: () => Promise<string>;
  /** Lines of the log, each a JSON object. */
  readonly log: readonly Readonly<Record<string, unknown>>[];
  /** SIGTERM; returns the exit code. */
  readonly stop: () => Promise<number | null>;
  /** SIGKILL, as a crash would; returns when the process is gone. */
  readonly kill: () => Promise<void>;
};

export type Installed = {
  /** The registered address, the CA of its certificate, and the paths of that certificate and its key. */
  readonly url: string;
  readonly ca: string;
  readonly certificate: { readonly cert: string; readonly key: string };
  /** Starts a process that serves at the registered address, or as `more` says. */
  readonly start: (more?: StartOptions) => Promise<Webhook>;
  /** Writes the kubeconfig of the webhook's ServiceAccount for an API server elsewhere (a proxy); returns the path. */
  readonly kubeconfigFor: (name: string, server: string, user?: User, ca?: string) => Promise<string>;
};

export type StartOptions = {
  readonly port?: number;
  /** Options of `serve`; they come last, and the last one counts. */
  readonly options?: readonly string[];
  /** Options that say where its certificate is from; default: the one that was made at the installation. */
  readonly tls?: readonly string[];
  /** The command before the program's own options. Default: Node, with the sources. */
  readonly command?: readonly string[];
  /** Options of Node's own, where it runs the sources. */
  readonly node?: readonly string[];
  /** The path of another kubeconfig than the installed one. */
  readonly kubeconfig?: string;
  /** Called with every line of the log. */
  readonly onLine?: (line: string) => void;
};

/** How a kubeconfig identifies its user. */
export type User =
  | { readonly token: string }
  | { readonly "auth-provider": { readonly name: string; readonly config: { readonly tokenFile: string } } };

/** Runs kubectl, which must succeed. */
export const kubectl = async (controlPlane: ControlPlane, args: readonly string[], input = ""): Promise<string> => {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, { input });
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  return stdout;
};

type Hook = { readonly clientConfig: { readonly service: { readonly path: string } } };

/**
 * Applies deploy/kustomize/base, with the webhook's address a loopback URL and a certificate made here. Its Deployment
 * is left out: the process that is started plays its pods. `port`: where the webhook will listen.
 */
export const install = async (controlPlane: ControlPlane, config: string, port: number): Promise<Installed> => {
  const file = (name: string): string => join(controlPlane.folder, name);
  const { ca, cert, key } = await makeServingCertificate(["127.0.0.1"], 1, new Date());
  const clientConfig = (path: string) => ({
    url: `https://127.0.0.1:${port}${path}`,
    caBundle: Buffer.from(ca).toString("base64"),
  });
  const base = await kubectl(controlPlane, ["kustomize", join(root, "deploy/kustomize/base")]);
  const items = parseAllDocuments(base)
    .map((document) => document.toJS() as { readonly kind: string; readonly webhooks?: readonly Hook[] })
    .filter(({ kind }) => kind !== "Deployment")
    .map((object) =>
      object.webhooks === undefined
        ? object
        : {
            ...object,
            webhooks: object.webhooks.map((webhook) => ({
              ...webhook,
              clientConfig: clientConfig(webhook.clientConfig.service.path),
            })),
          },
    );
  await kubectl(controlPlane, ["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const token = (await kubectl(controlPlane, ["create", "token", NAMESPACE, `--namespace=${NAMESPACE}`])).trim();
  await Promise.all([
    writeFile(file("webhook.yaml"), config),
    writeFile(file("webhook.crt"), cert),
    writeFile(file("webhook.key"), key, { mode: 0o600 }),
  ]);
  const kubeconfigFor: Installed["kubeconfigFor"] = async (
    name,
    server,
    user = { token },
    serverCa = controlPlane.ca,
  ) => {
    await writeFile(file(name), kubeconfigOf(server, serverCa, user), { mode: 0o600 });
    return file(name);
  };
  const kubeconfig = await kubeconfigFor("webhook.kubeconfig", controlPlane.url);
  // No look without an admission: most tests ask what admissions do.
  const quiet = ["--host=127.0.0.1", "--metrics-port=0", "--drain-seconds=0", "--repair-seconds=0"];
  const args = ["serve", "--cluster=kubeconfig", ...quiet, `--config=${file("webhook.yaml")}`];
  const certificate = [`--tls-cert=${file("webhook.crt")}`, `--tls-key=${file("webhook.key")}`];
  return {
    url: `https://127.0.0.1:${port}/mutate`,
    ca,
    certificate: { cert: file("webhook.crt"), key: file("webhook.key") },
    kubeconfigFor,
    start: (more = {}) => {
      const all = [...args, ...(more.tls ?? certificate), `--port=${more.port ?? port}`, ...(more.options ?? [])];
      return started(all, { kubeconfig, ...more });
    },
  };
};

/** A kubeconfig of one user, as JSON. */
export const kubeconfigOf = (server: string, ca: string, user: User): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "webhook",
    clusters: [{ name: "c", cluster: { server, "certificate-authority-data": Buffer.from(ca).toString("base64") } }],
    users: [{ name: "u", user }],
    contexts: [{ name: "webhook", context: { cluster: "c", user: "u" } }],
  });

const started = async (args: readonly string[], options: StartOptions): Promise<Webhook> => {
  const { kubeconfig, node = [], command = [process.execPath, ...node, MAIN], onLine } = options;
  const env = { ...plainEnv(), KUBECONFIG: kubeconfig };
  const program = startCommand([...tied, ...command, ...args], { env, onLine });
  const { child, log } = program;
  child.stderr?.pipe(process.stderr);
  // Nothing outlives the test: it is ended with the process that started it, here where the kernel cannot do so.
  const end = (): void => void child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
  const { url, metrics } = await program.serving();
  const ended = async (signal: "SIGTERM" | "SIGKILL"): Promise<number | null> => {
    child.kill(signal);
    return (await program.exit).code;
  };
  return {
    pid: child.pid ?? 0,
    url,
    log,
    metrics: async () => (await fetch(metrics)).text(),
    stop: () => ended("SIGTERM"),
    kill: async () => {
      await ended("SIGKILL");
    },
  };
};
