// How the harness knows that a part of the control plane does its work. Each check rejects or says false until then.
import type { Ports } from "./flags.ts";
import type { Component } from "./programs.ts";
import { getFromComponent, getFromEtcd } from "./requests.ts";
import type { ApiServer } from "./requests.ts";
import { until } from "../../wait.ts";

export type Check = () => Promise<boolean>;

const patience = 60_000;
const serviceAccounts = "/api/v1/namespaces/default/serviceaccounts";

/** The checks of one cluster: one for each component, and one for whether pods can be created. */
export function readiness(ports: Ports, api: ApiServer): Readonly<Record<Component | "pods", Check>> {
  return {
    etcd: async () => (await getFromEtcd(ports.etcd, "/health")).status === 200,
    "kube-apiserver": async () => (await api("GET", "/readyz")).status === 200,
    // It answers before it has controllers; each of them adds a line.
    "kube-controller-manager": async () => {
      const { status, body } = await getFromComponent(ports["kube-controller-manager"], "/healthz?verbose");
      return status === 200 && body.includes("[+]replicaset-controller ok");
    },
    "kube-scheduler": async () => (await getFromComponent(ports["kube-scheduler"], "/healthz")).status === 200,
    // The API server refuses pods in a namespace until its ServiceAccount "default" exists.
    pods: async () => (await api("GET", `${serviceAccounts}/default`)).status === 200,
  };
}

/** Creates the ServiceAccount that pods in "default" need, where no controller does. */
export async function createServiceAccount(api: ApiServer): Promise<void> {
  const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
  const { status, body } = await api("POST", serviceAccounts, account);
  if (status !== 201) throw new Error(`the ServiceAccount "default" was not created: ${body}`);
}

/** Returns when the check holds. Rejects when `alive` does, or after a minute. */
export async function waitUntil(what: string, check: Check, alive: () => Promise<void>): Promise<void> {
  let reason: unknown = "the check said no";
  const holds = async (): Promise<boolean> => {
    const ready = await check().catch((error: unknown) => {
      reason = error;
      return false;
    });
    if (!ready) await alive();
    return ready;
  };
  await until(() => `${what}: ${String(reason)}`, holds, patience);
}
