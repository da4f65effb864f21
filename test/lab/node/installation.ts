// The webhook installed as its users install it: `helm install` of the chart, which makes its certificate itself, with
// the image that ships.
import type { ControlPlane } from "../control-plane/control-plane.ts";
import { kubectl } from "../control-plane/webhook.ts";
import { CHART, findHelm, RELEASE } from "../control-plane/helm.ts";
import { eventually } from "../../wait.ts";

/** The chart's default. */
const REPLICAS = 2;

export type NodeInstallation = {
  /**
   * Runs helm for the release, with values where a chart is named; waits for what it did, and must succeed. Returns
   * what it says.
   */
  readonly helm: (args: readonly string[], values?: object) => Promise<string>;
  /** Changes the release's config; returns when no other one is in force. */
  readonly upgrade: (config: object) => Promise<void>;
  /**
   * Returns when the pods before have ended: they answer, on connections that the API server has to them, until they
   * have drained.
   */
  readonly onlyNewPods: () => Promise<void>;
};

/** Installs the chart. `namespaces`: where gateways without a namespace of their own may be made. */
export const installChart = async (
  controlPlane: ControlPlane,
  config: object,
  namespaces: readonly string[],
): Promise<NodeInstallation> => {
  const program = await findHelm(controlPlane.folder);
  const helm: NodeInstallation["helm"] = async (args, values = {}) => {
    const more = [`--namespace=${RELEASE}`, "--wait", "--timeout=120s"];
    const { code, stdout, stderr } = await program([...args, ...more], {
      input: JSON.stringify(values),
      env: { KUBECONFIG: controlPlane.kubeconfig },
    });
    if (code !== 0) throw new Error(`helm ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const onlyNewPods = async (): Promise<void> => {
    await eventually("the pods before end", 30_000, async () => {
      const pods = await kubectl(controlPlane, ["get", "pods", `--namespace=${RELEASE}`, "-o", "name"]);
      return pods.trim().split("\n").length === REPLICAS || undefined;
    });
  };
  const upgrade: NodeInstallation["upgrade"] = async (config) => {
    await helm(["upgrade", "--install", RELEASE, CHART, "--create-namespace", "--values=-"], {
      rbac: { namespaces },
      config,
    });
    await onlyNewPods();
  };
  await upgrade(config);
  return { helm, upgrade, onlyNewPods };
};
