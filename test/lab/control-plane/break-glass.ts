// A user who may write the gateways' objects past the policy that protects them, as docs/operations.md says it.
import { until } from "../../wait.ts";

type Kubectl = (args: readonly string[]) => Promise<string>;

/**
 * Binds the chart's ClusterRole in a gateway's namespace. Returns the option by which kubectl acts as the user who
 * holds it.
 */
export const breakGlass = async (kubectl: Kubectl, namespace: string, user = "break-glass"): Promise<string> => {
  const role = "--clusterrole=flowgen-gateway-webhook-break-glass";
  const within = `--namespace=${namespace}`;
  await kubectl(["create", "rolebinding", "break-glass", role, `--user=${user}`, within]);
  // The API server sees a new binding a moment later. Of a resource that does not exist `can-i` asks something else.
  const isHeld = (): Promise<boolean> =>
    kubectl(["auth", "can-i", "delete", "services", `--as=${user}`, within]).then(
      () => true,
      () => false,
    );
  await until(`${user} holds break-glass`, isHeld);
  return `--as=${user}`;
};
