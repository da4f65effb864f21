// A real Kubernetes control plane as child processes on loopback, as many at once as one likes:
//
//   etcd ← kube-apiserver ← kube-controller-manager, kube-scheduler
//
// Each needs the one that its arrow points at. Everything that a cluster has (credentials, data, logs) is in one
// temporary folder. There is no node: pods are admitted and stored, and stay Pending (test/node adds one).
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeCredentials } from "./credentials.ts";
import type { Credentials } from "./credentials.ts";
import { flagsOf, KUBERNETES_SERVICE } from "./flags.ts";
import type { NodeLayout, Ports } from "./flags.ts";
import { kubectlWith } from "./kubectl.ts";
import type { Kubectl } from "./kubectl.ts";
import { freePorts } from "./ports.ts";
import { keepProcesses } from "./processes.ts";
import type { Processes } from "./processes.ts";
import { components, findPrograms } from "./programs.ts";
import type { Component } from "./programs.ts";
import { createServiceAccount, readiness, waitUntil } from "./readiness.ts";
import { apiServerAt } from "./requests.ts";

export type Options = {
  /** Makes pods from Deployments, Jobs …, creates ServiceAccounts, collects garbage. Default true. */
  readonly controllerManager?: boolean;
  /** Default false: without nodes all it can say is that there are none. */
  readonly scheduler?: boolean;
  /** The cluster will have a node: pods must reach the API server. Default: none. */
  readonly node?: NodeLayout;
  /** Further flags, such as `{"kube-apiserver": ["--audit-log-path=…", "--audit-policy-file=…"]}`. */
  readonly flags?: Readonly<Partial<Record<Component, readonly string[]>>>;
  /** Print the milestones of the start to stderr. Default: whether the environment variable VERBOSE is 1. */
  readonly verbose?: boolean;
};

export type ControlPlane = {
  /** The path of the admin's kubeconfig. */
  readonly kubeconfig: string;
  /** Where the API server listens. */
  readonly url: string;
  /** The certificate of the authority that signed the API server's, PEM. */
  readonly ca: string;
  /** The temporary folder of this cluster, gone after `stop`; tests may put files into it. */
  readonly folder: string;
  /** Writes a kubeconfig for one more user and returns its path. */
  readonly signIn: Credentials["signIn"];
  /** Runs kubectl as admin. */
  readonly kubectl: Kubectl;
  /** Ends a component in order, if it runs, and starts it with the same data and port; returns when it is ready. */
  readonly restart: (name: Component) => Promise<void>;
  /** Ends a component without warning, as a crash would; `restart` brings it back. */
  readonly kill: (name: Component) => Promise<void>;
  /** All that a component has printed. */
  readonly log: (name: Component) => Promise<string>;
  /** Ends all processes and removes the folder. If it is not called, that happens when the calling process ends. */
  readonly stop: () => Promise<void>;
};

/** Starts a control plane and returns when pods can be created in the namespace "default". */
export async function startControlPlane(options: Options = {}): Promise<ControlPlane> {
  const milestone = stopwatch(options.verbose ?? process.env["VERBOSE"] === "1");
  const programs = await findPrograms(chosen(options));
  milestone("programs found");
  const folder = await mkdtemp(join(tmpdir(), "flowgen-test-cluster-"));
  const processes = await keepProcesses<Component>(folder);
  try {
    return await start({ options, programs, folder, processes, milestone });
  } catch (error) {
    await processes.stop();
    throw error;
  }
}

type Setting = {
  readonly options: Options;
  readonly programs: string;
  readonly folder: string;
  readonly processes: Processes<Component>;
  readonly milestone: (what: string) => void;
};

async function start({ options, programs, folder, processes, milestone }: Setting): Promise<ControlPlane> {
  const ports = await choosePorts();
  const layout = { credentials: join(folder, "credentials"), data: join(folder, "etcd"), ports, node: options.node };
  const url = `https://127.0.0.1:${ports["kube-apiserver"]}`;
  const launch = (name: Component): Promise<void> =>
    processes.start(name, join(programs, name), [...flagsOf(name, layout), ...(options.flags?.[name] ?? [])]);

  await launch("etcd"); // needs no credentials, so it can start while they are made
  const addresses = options.node === undefined ? [] : [options.node.address, KUBERNETES_SERVICE];
  const credentials = await writeCredentials(layout.credentials, url, addresses);
  milestone("credentials written");
  await launch("kube-apiserver"); // it waits for etcd

  const api = apiServerAt(ports["kube-apiserver"], credentials);
  const checks = readiness(ports, api);
  const ready = (what: keyof typeof checks): Promise<void> => waitUntil(what, checks[what], processes.check);
  await ready("kube-apiserver");
  milestone("API server ready");
  // Started earlier, they would end when the API server is not there within 10 s, or does not know their roles yet.
  const clients = chosen(options).filter((name) => name !== "etcd" && name !== "kube-apiserver");
  for (const name of clients) await launch(name);
  if (options.controllerManager === false) await createServiceAccount(api);
  await ready("pods");
  for (const name of clients) await ready(name);
  milestone("pods can be created");

  const kubeconfig = join(layout.credentials, "admin.kubeconfig");
  return {
    kubeconfig,
    url,
    ca: credentials.ca,
    folder,
    signIn: credentials.signIn,
    kubectl: kubectlWith(join(programs, "kubectl"), kubeconfig, folder),
    restart: async (name) => {
      await processes.end(name, "SIGTERM");
      await launch(name);
      await ready(name);
      if (name === "etcd" && processes.isRunning("kube-apiserver")) await ready("kube-apiserver");
    },
    kill: (name) => processes.end(name, "SIGKILL"),
    log: processes.log,
    stop: processes.stop,
  };
}

function chosen({ controllerManager = true, scheduler = false }: Options): Component[] {
  const without = new Set<Component>();
  if (!controllerManager) without.add("kube-controller-manager");
  if (!scheduler) without.add("kube-scheduler");
  return components.filter((name) => !without.has(name));
}

async function choosePorts(): Promise<Ports> {
  const names = [...components, "etcd-peer"] as const;
  const ports = await freePorts(names.length);
  return Object.fromEntries(names.map((name, at) => [name, ports[at]])) as Ports;
}

function stopwatch(verbose: boolean): (what: string) => void {
  const started = performance.now();
  return (what) => {
    if (verbose) process.stderr.write(`${((performance.now() - started) / 1000).toFixed(2)} s  ${what}\n`);
  };
}
