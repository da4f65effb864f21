// The command line of each program. Everything listens on loopback only, but for the API server of a cluster with a
// node.
import { join } from "node:path";
import type { Component } from "./programs.ts";

export type Ports = Readonly<Record<Component | "etcd-peer", number>>;

/** The facts for the command lines: the places of the credentials and of etcd's data, and all ports. */
export type Layout = {
  readonly credentials: string;
  readonly data: string;
  readonly ports: Ports;
  readonly node?: NodeLayout | undefined;
};

/** For a cluster that has a node: the address by which its pods reach the API server. */
export type NodeLayout = { readonly address: string };

/** The controller manager's limits in most clusters: 20 requests a second, 30 at once. */
export const DEFAULT_LIMITS = { "kube-controller-manager": ["--kube-api-qps=20", "--kube-api-burst=30"] };

/** The addresses of Services; the first is that of the Service "kubernetes". */
export const SERVICE_RANGE = "10.96.0.0/16";
export const KUBERNETES_SERVICE = "10.96.0.1";

const loopback = (port: number): string => `http://127.0.0.1:${port}`;

function etcd({ data, ports }: Layout): string[] {
  const client = loopback(ports.etcd);
  const peer = loopback(ports["etcd-peer"]);
  return [
    "--name=test",
    `--data-dir=${data}`,
    "--log-level=warn",
    // The data need not survive a crash of the machine, only one of etcd, and syncing costs seconds on a busy disk.
    "--unsafe-no-fsync",
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=test=${peer}`,
  ];
}

function apiServer({ credentials, ports, node }: Layout): string[] {
  const file = (name: string): string => join(credentials, name);
  return [
    `--etcd-servers=${loopback(ports.etcd)}`,
    "--external-hostname=localhost",
    `--secure-port=${ports["kube-apiserver"]}`,
    ...(node === undefined
      ? // A loopback address is not valid in the endpoints of the Service "kubernetes", so none are kept.
        ["--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"]
      : ["--bind-address=0.0.0.0", `--advertise-address=${node.address}`]),
    `--kubelet-client-certificate=${file("kubelet-client.crt")}`,
    `--kubelet-client-key=${file("kubelet-client.key")}`,
    "--kubelet-preferred-address-types=InternalIP",
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    // Gateway pods may be privileged; the default refuses them.
    "--allow-privileged=true",
    `--client-ca-file=${file("ca.crt")}`,
    `--tls-cert-file=${file("apiserver.crt")}`,
    `--tls-private-key-file=${file("apiserver.key")}`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-account-key-file=${file("tokens.pub")}`,
    `--service-account-signing-key-file=${file("tokens.key")}`,
  ];
}

function controllerManager({ credentials, ports }: Layout): string[] {
  const file = (name: string): string => join(credentials, name);
  return [
    `--kubeconfig=${file("controller-manager.kubeconfig")}`,
    "--leader-elect=false",
    "--bind-address=127.0.0.1",
    `--secure-port=${ports["kube-controller-manager"]}`,
    // Each controller under its own name, as in real clusters: admission reviews carry it.
    "--use-service-account-credentials=true",
    `--service-account-private-key-file=${file("tokens.key")}`,
    `--root-ca-file=${file("ca.crt")}`,
    `--cluster-signing-cert-file=${file("ca.crt")}`,
    `--cluster-signing-key-file=${file("ca.key")}`,
    // Its default limits hold it up for 5 s at the start.
    "--kube-api-qps=300",
    "--kube-api-burst=500",
  ];
}

function scheduler({ credentials, ports }: Layout): string[] {
  return [
    `--kubeconfig=${join(credentials, "scheduler.kubeconfig")}`,
    "--leader-elect=false",
    "--bind-address=127.0.0.1",
    `--secure-port=${ports["kube-scheduler"]}`,
  ];
}

const commandLines: Readonly<Record<Component, (layout: Layout) => string[]>> = {
  etcd,
  "kube-apiserver": apiServer,
  "kube-controller-manager": controllerManager,
  "kube-scheduler": scheduler,
};

/** The arguments to start a component with. */
export function flagsOf(component: Component, layout: Layout): string[] {
  return commandLines[component](layout);
}
