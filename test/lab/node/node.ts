// A Kubernetes node beside the control plane of test/cluster, on a machine of its own (main.ts):
//
//   kube-apiserver ← kubelet ← containerd, runc, CNI
//                  ← kube-proxy, CoreDNS
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { startControlPlane } from "../control-plane/control-plane.ts";
import type { ControlPlane, Options } from "../control-plane/control-plane.ts";
import { keepProcesses } from "../control-plane/processes.ts";
import { findNodePrograms } from "../control-plane/programs.ts";
import { waitUntil } from "../control-plane/readiness.ts";
import { kubectl } from "../control-plane/webhook.ts";
import * as configuration from "./configuration.ts";

const { FIRST } = configuration;

export type NodeProgram = "containerd" | "kubelet" | "kube-proxy" | "coredns";
export type Node = {
  readonly controlPlane: ControlPlane;
  /** Of its files. */
  readonly folder: string;
  /** All that a program has printed. */
  readonly log: (name: NodeProgram) => Promise<string>;
  readonly stop: () => Promise<void>;
};

const run = promisify(execFile);

/**
 * Starts a control plane and a node, with the test's images, and returns when the node is ready for pods. `hosts`:
 * addresses by public name; `flags`: of the control plane's programs, besides the usual ones.
 */
export const startNode = async (
  hosts: Readonly<Record<string, string>>,
  flags: NonNullable<Options["flags"]> = {},
): Promise<Node> => {
  const { FLOWGEN_NODE_FOLDER: machine, FLOWGEN_NODE_IMAGES: images } = process.env;
  if (machine === undefined || images === undefined)
    throw new Error("a node needs a machine of its own: npm run test:node");
  const folder = join(machine, "node");
  await mkdir(folder);
  const processes = await keepProcesses<NodeProgram>(folder);
  const file = async (name: string, content: string): Promise<string> => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  const ready = (what: string, check: () => Promise<boolean>): Promise<void> => waitUntil(what, check, processes.check);

  await file("containerd.toml", configuration.containerd());
  await writeFile("/etc/cni/net.d/10-node.conflist", configuration.network(FIRST));
  await processes.start("containerd", "containerd", ["--config", join(folder, "containerd.toml")]);
  await ready("containerd", async () => existsSync("/run/containerd/containerd.sock"));
  const imported = Promise.all(
    images.split(":").map((archive) => run("ctr", ["-n", "k8s.io", "images", "import", archive])),
  );

  const controlPlane = await startControlPlane({
    scheduler: true,
    node: { address: FIRST.address },
    flags,
  });
  const paths: configuration.Paths = {
    authority: join(folder, "ca.crt"),
    coreDns: await controlPlane.signIn("coredns", { name: "coredns", group: "system:masters" }),
    kubeProxy: await controlPlane.signIn("kube-proxy", { name: "system:kube-proxy" }),
    resolvConf: await file("resolv.conf", `nameserver ${FIRST.address}\n`),
  };
  const kubelet = await controlPlane.signIn("kubelet", { name: "system:node:node", group: "system:nodes" });
  await writeFile(paths.authority, controlPlane.ca);
  const programs = await findNodePrograms();
  const start = (name: NodeProgram, ...flags: readonly string[]): Promise<void> =>
    processes.start(name, join(programs, name), flags);
  await start(
    "kubelet",
    `--config=${await file("kubelet.yaml", configuration.kubelet(paths, FIRST))}`,
    `--kubeconfig=${kubelet}`,
    "--hostname-override=node",
    `--node-ip=${FIRST.address}`,
  );
  await start("kube-proxy", `--config=${await file("kube-proxy.yaml", configuration.kubeProxy(paths, FIRST))}`);
  await start("coredns", "-conf", await file("Corefile", configuration.corefile(paths, hosts)));
  await kubectl(controlPlane, ["apply", "-f", "-"], configuration.dnsService());
  await imported;
  await ready("the node", async () => (await nodeCondition(controlPlane, FIRST.name)) === "True");
  await ready("cluster DNS", async () => (await fetch("http://127.0.0.1:8181/ready")).ok);
  return {
    controlPlane,
    folder,
    log: processes.log,
    stop: async () => {
      await processes.stop();
      await controlPlane.stop();
    },
  };
};

/** Whether a node is ready: True, False or Unknown; nothing before it is known. */
export const nodeCondition = async ({ kubectl }: ControlPlane, name: string): Promise<string> => {
  const path = '{.status.conditions[?(@.type=="Ready")].status}';
  return (await kubectl(["get", "node", name, "-o", `jsonpath=${path}`])).stdout;
};
