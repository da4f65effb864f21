// A cluster in which the chart can be installed: a real control plane, a node that is played (kubelet.ts) and the
// webhook's Service (service.ts).
import { join } from "node:path";
import { type ControlPlane, startControlPlane } from "../control-plane/control-plane.ts";
import { freePorts } from "../control-plane/ports.ts";
import { kubectl as run } from "../control-plane/webhook.ts";
import { type Api, connectTo } from "../control-plane/api.ts";
import { CHART, findHelm, RELEASE } from "../control-plane/helm.ts";
import { flags, type Kubelet, playKubelet } from "./kubelet.ts";
import { type PlayedService, playService } from "./service.ts";

export type PlayedCluster = {
  readonly controlPlane: ControlPlane;
  readonly api: Api;
  readonly kubelet: Kubelet;
  readonly service: PlayedService;
  /** The address by which the API server calls the webhook: it reaches no ClusterIP here. */
  readonly webhookUrl: string;
  /** Must succeed. */
  readonly kubectl: (args: readonly string[], input?: string) => Promise<string>;
  /** Runs helm with values, and the release's namespace; must succeed. */
  readonly helm: (args: readonly string[], values?: object) => Promise<string>;
  readonly stop: () => Promise<void>;
};

export const startCluster = async (): Promise<PlayedCluster> => {
  if (process.getuid?.() !== 0)
    throw new Error("The tests of the installation need root: the webhook's pods have file systems of their own");
  const controlPlane = await startControlPlane({ flags });
  const api = connectTo(controlPlane);
  const runHelm = await findHelm(controlPlane.folder);
  const kubelet = await playKubelet(
    { api, apiServer: controlPlane.url, folder: join(controlPlane.folder, "pods") },
    RELEASE,
  );
  const [port = 0] = await freePorts(1);
  const service = await playService(
    api,
    { namespace: RELEASE, name: RELEASE, port: "webhook" },
    kubelet.addressOf,
    port,
  );
  return {
    controlPlane,
    api,
    kubelet,
    service,
    webhookUrl: `https://127.0.0.1:${port}`,
    kubectl: (args, input = "") => run(controlPlane, args, input),
    helm: async (args, values = {}) => {
      const { code, stdout, stderr } = await runHelm(
        [...args, `--namespace=${RELEASE}`, ...(args.includes(CHART) ? ["--values=-"] : [])],
        { input: JSON.stringify(values), env: { KUBECONFIG: controlPlane.kubeconfig } },
      );
      if (code !== 0) throw new Error(`helm ${args.join(" ")}: ${stderr}\n${kubelet.crashes.slice(-1).join("")}`);
      return stdout;
    },
    stop: async () => {
      await Promise.all([kubelet.stop(), service.stop()]);
      api.close();
      await controlPlane.stop();
    },
  };
};
