// A forward is removed as the sweep does it: through the cluster port, with the webhook's own token and field manager.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { converge, wakeKubelet } from "../../src/provisioning/converge.ts";
import { intentOf } from "../../src/provisioning/intent.ts";
import { tableIn, writeTableObject } from "../../src/provisioning/objects.ts";
import { readGateway } from "../../src/provisioning/reading.ts";
import { connect } from "../../src/cluster/kubernetes.ts";
import { loadScripts } from "../../src/provisioning/scripts.ts";
import { readConfig } from "../../src/core/config/config.ts";
import { forwardsOf } from "../../src/core/forwards/table.ts";
import { MANAGER } from "../../src/core/names.ts";
import type { ControlPlane } from "../lab/control-plane/control-plane.ts";
import { kubeconfigOf, kubectl } from "../lab/control-plane/webhook.ts";

/** Takes a forward of the config's default gateway out of its table and out of what is made from the table. */
export const removeForward = async (controlPlane: ControlPlane, yaml: string, name: string): Promise<void> => {
  const reading = readConfig(yaml);
  if (reading.kind === "invalid") throw new Error(reading.problems.join("; "));
  const { gateways, defaultGateway, podSelector } = reading.config;
  const found = gateways.find((gateway) => gateway.name === defaultGateway);
  if (found?.namespace === undefined) throw new Error(`${defaultGateway} has no namespace`);
  const gateway = { ...found, namespace: found.namespace, isPerNamespace: false };

  const cluster = await connect("kubeconfig", { kubeconfigPath: await kubeconfigOfWebhook(controlPlane) });
  const signal = AbortSignal.timeout(10_000);
  const objects = await readGateway(cluster, gateway, signal);
  const read = tableIn(objects, gateway);
  if (read.kind !== "table") throw new Error(JSON.stringify(read));
  const forwards = read.table.forwards.filter((forward) => forward.name !== name);
  const services = read.table.services.filter((service) => forwardsOf({ forwards }, service).length > 0);
  const table = { ...read.table, forwards, services };
  const scripts = loadScripts();
  const intent = intentOf(reading.config, gateway, scripts);
  const written = await writeTableObject(
    cluster,
    gateway,
    { table, deployments: [gateway.name] },
    intent,
    objects.table,
    signal,
  );
  await converge(
    { cluster, gateway, table, ours: intent, signal },
    { scripts, podSelector, keeps: false },
    objects,
    new Map(),
  );
  await wakeKubelet(cluster, gateway, written, signal);
};

const kubeconfigOfWebhook = async (controlPlane: ControlPlane): Promise<string> => {
  const token = (await kubectl(controlPlane, ["create", "token", MANAGER, `--namespace=${MANAGER}`])).trim();
  const path = join(controlPlane.folder, "removal.kubeconfig");
  await writeFile(path, kubeconfigOf(controlPlane.url, controlPlane.ca, { token }), { mode: 0o600 });
  return path;
};
