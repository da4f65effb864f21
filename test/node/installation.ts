// The webhook installed as its users install it: `helm install` of the chart, which makes its certificate itself, with this checkout's image.
import type { ControlPlane } from "../cluster/control-plane.ts";
import { kubectl } from "../cluster/webhook.ts";
import { CHART, findHelm, RELEASE } from "../deploy/helm.ts";
import { eventually } from "./gateway.ts";

/** The chart's default. */
const REPLICAS = 2;

/** Changes the release's config; returns when no other one is in force. */
export type Upgrade = (config: object) => Promise<void>;

/** Installs the chart. `namespaces`: where gateways without a namespace of their own may be made. */
export const install = async (
  controlPlane: ControlPlane,
  config: object,
  namespaces: readonly string[],
): Promise<Upgrade> => {
  const helm = await findHelm(controlPlane.folder);
  const upgrade: Upgrade = async (config) => {
    const where = [`--namespace=${RELEASE}`, "--create-namespace", "--wait", "--timeout=120s", "--values=-"];
    const { code, stderr } = await helm(["upgrade", "--install", RELEASE, CHART, ...where], {
      input: JSON.stringify({ rbac: { namespaces }, config }),
      env: { KUBECONFIG: controlPlane.kubeconfig },
    });
    if (code !== 0) throw new Error(`helm upgrade: ${stderr}`);
    // The pods before answer with the config before, on connections that the API server has to them, until they have drained.
    await eventually("the pods before end", 30_000, async () => {
      const pods = await kubectl(controlPlane, ["get", "pods", `--namespace=${RELEASE}`, "-o", "name"]);
      return pods.trim().split("\n").length === REPLICAS || undefined;
    });
  };
  await upgrade(config);
  return upgrade;
};
