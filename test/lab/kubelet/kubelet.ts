// A node's work for the pods of one namespace: binds them, starts their containers, asks their probes, ends them in
// order. Deployments, `helm --wait` and EndpointSlices use its reports, so roll-outs take their real course. Needs a
// controller manager without the controllers that take a node for dead.
import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Api, ApiObject } from "../control-plane/api.ts";
import { type PlayedContainer, type PlayedLogLine, startContainer } from "./container.ts";
import { type PlayedPod, prepare, type Probe } from "./pod.ts";

export const NODE = "played";
/** Flags for the control plane. */
export const flags = { "kube-controller-manager": ["--controllers=*,-node-lifecycle-controller"] };

/** From a crash to the next start. */
const RESTART_MS = 1000;

export type Kubelet = {
  /** Where a pod listens, by the address that its status has. */
  readonly addressOf: (podIp: string) => string | undefined;
  /** The log of every container that ever ran, by pod. */
  readonly logs: ReadonlyMap<string, readonly PlayedLogLine[]>;
  /** Containers that ended without having been asked to. */
  readonly crashes: readonly string[];
  /** Ends a pod's container as a crash would. */
  readonly kill: (pod: string) => void;
  readonly stop: () => Promise<void>;
};

type Running = {
  readonly container: PlayedContainer;
  readonly host: string;
  ready: boolean;
  ending: boolean;
  hasStarted: boolean;
  /** When its startup or liveness probe last succeeded. */
  aliveAt: number;
};
export type KubeletSetting = { readonly api: Api; readonly apiServer: string; readonly folder: string };

/** Starts the work for a namespace, until `stop`. */
export const playKubelet = async ({ api, apiServer, folder }: KubeletSetting, namespace: string): Promise<Kubelet> => {
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  const running = new Map<string, Running>();
  const logs = new Map<string, readonly PlayedLogLine[]>();
  const crashes: string[] = [];
  // Loopback addresses of this cluster alone: pods share the port, as they do in a cluster.
  const subnet = `127.${1 + (process.pid % 254)}.${1 + Math.floor(Math.random() * 254)}`;
  const hosts = new Map<string, string>();
  const hostOf = (pod: string): string => {
    const host = hosts.get(pod) ?? `${subnet}.${hosts.size + 1}`;
    hosts.set(pod, host);
    return host;
  };
  await api.ask("POST", "/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata: { name: NODE } });

  const start = async (pod: PlayedPod): Promise<void> => {
    const { name } = pod.metadata;
    const spec = await prepare(api, pod, join(folder, name, "volumes"));
    const host = hostOf(name);
    const { hostname, port } = new URL(apiServer);
    const env = {
      ...spec.env,
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
      FLOWGEN_GATEWAY_HOST: host,
    };
    const container = await startContainer(join(folder, name, "root"), { ...spec, env });
    logs.set(name, container.log);
    const entry: Running = { container, host, ready: false, ending: false, hasStarted: false, aliveAt: Date.now() };
    running.set(name, entry);
    container.process.once("exit", (code, signal) => {
      if (entry.ending) return;
      crashes.push(`${name}: ${String(code ?? signal)} ${JSON.stringify(container.log.slice(-3))}`);
      setTimeout(() => running.delete(name), RESTART_MS).unref();
    });
  };

  const report = async (pod: PlayedPod, entry: Running): Promise<void> => {
    await watchLife(pod, entry);
    const ready = await answers(entry.host, pod, pod.spec.containers[0].readinessProbe);
    if (ready === entry.ready) return;
    entry.ready = ready;
    await api.ask(
      "PATCH",
      `${pods}/${pod.metadata.name}/status`,
      { status: statusOf(ready, entry.host) },
      "application/strategic-merge-patch+json",
    );
  };

  const end = async (pod: PlayedPod): Promise<void> => {
    const { name } = pod.metadata;
    const entry = running.get(name);
    if (entry?.ending === false) {
      entry.ending = true;
      entry.container.process.kill("SIGTERM");
      setTimeout(() => entry.container.process.kill("SIGKILL"), pod.spec.terminationGracePeriodSeconds * 1000).unref();
    }
    if (entry !== undefined && !hasEnded(entry.container)) return;
    running.delete(name);
    await api.ask("DELETE", `${pods}/${name}`, { kind: "DeleteOptions", apiVersion: "v1", gracePeriodSeconds: 0 });
  };

  const look = async (pod: PlayedPod): Promise<void> => {
    if (pod.metadata.deletionTimestamp !== undefined) return end(pod);
    if (pod.spec.nodeName === undefined) {
      const target = { apiVersion: "v1", kind: "Node", name: NODE };
      const binding = { apiVersion: "v1", kind: "Binding", metadata: { name: pod.metadata.name }, target };
      await api.ask("POST", `${pods}/${pod.metadata.name}/binding`, binding);
      return;
    }
    const entry = running.get(pod.metadata.name);
    if (entry !== undefined) return report(pod, entry);
    // A volume's source may come later, as in a cluster.
    await start(pod).catch((error: unknown) => logs.set(pod.metadata.name, [{ text: String(error) }]));
  };

  let isStopped = false;
  const loop = async (): Promise<void> => {
    while (!isStopped) {
      const items = await api.list<ApiObject & PlayedPod>(pods);
      await Promise.all(items.map(look));
      await sleep(100);
    }
  };
  const looping = loop();
  return {
    addressOf: (podIp) => [...hosts.values()].find((host) => podIpOf(host) === podIp),
    logs,
    crashes,
    kill: (pod) => running.get(pod)?.container.process.kill("SIGKILL"),
    stop: async () => {
      isStopped = true;
      await looping;
      await Promise.all([...running.values()].map(stopEntry));
    },
  };
};

/** Kills a container that has not started, or has not been alive, for as long as its probe says. */
const watchLife = async (pod: PlayedPod, entry: Running): Promise<void> => {
  const { startupProbe, livenessProbe } = pod.spec.containers[0];
  const probe = entry.hasStarted ? livenessProbe : startupProbe;
  if (await answers(entry.host, pod, probe)) {
    entry.hasStarted = true;
    entry.aliveAt = Date.now();
  } else if (Date.now() - entry.aliveAt > probe.failureThreshold * probe.periodSeconds * 1000)
    entry.container.process.kill("SIGKILL");
};

const stopEntry = async (entry: Running): Promise<void> => {
  entry.ending = true;
  if (hasEnded(entry.container)) return;
  const exit = once(entry.container.process, "exit");
  entry.container.process.kill("SIGKILL");
  await exit;
};

const hasEnded = ({ process }: PlayedContainer): boolean => process.exitCode !== null || process.signalCode !== null;

/** Loopback addresses are not valid in EndpointSlices: the status has another, made from the last three numbers. */
const podIpOf = (host: string): string => host.replace(/^127/, "10");

const statusOf = (ready: boolean, host: string): object => {
  const podIP = podIpOf(host);
  const status = ready ? "True" : "False";
  return {
    phase: "Running",
    podIP,
    podIPs: [{ ip: podIP }],
    conditions: [
      { type: "Ready", status },
      { type: "ContainersReady", status },
    ],
    containerStatuses: [
      {
        name: "webhook",
        ready,
        started: ready,
        restartCount: 0,
        image: "",
        imageID: "",
        state: { running: { startedAt: new Date().toISOString() } },
      },
    ],
  };
};

/** Whether a probe succeeds. Like a kubelet's, it does not check the certificate. */
const answers = async (host: string, { spec }: PlayedPod, { httpGet }: Probe): Promise<boolean> => {
  const { path, port: name, scheme } = httpGet;
  const port = spec.containers[0].ports.find((each) => each.name === name)?.containerPort;
  const url = `${scheme.toLowerCase()}://${host}:${String(port)}${path}`;
  const get = scheme === "HTTP" ? http.get : https.get;
  return new Promise((resolve) => {
    get(url, { rejectUnauthorized: false, agent: false, timeout: 1000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    }).on("error", () => resolve(false));
  });
};
