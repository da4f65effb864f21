// A gateway as the flowgen chart (0.19.0, `wireguardGateway`) makes it: a Deployment and a Service.
import type { KubeObject } from "../../../src/cluster/cluster.ts";

export type ChartPortForward = {
  readonly name: string;
  readonly port: number;
  readonly targetHost: string;
  readonly targetPort: number;
  readonly servicePort?: number;
};
export type ChartWish = {
  readonly namespace: string;
  /** Of Helm. The gateway is `<release>-wireguard-gateway` where the release is named after flowgen. */
  readonly release: string;
  readonly secretName: string;
  readonly forwards: readonly ChartPortForward[];
  /** Of the container that holds the tunnel, where an image stands in for its own, which loads the kernel's module. */
  readonly command?: readonly string[];
  readonly privileged?: boolean;
};

const WIREGUARD = "ghcr.io/linuxserver/wireguard:1.0.20250521-r1-ls105";

/** The Deployment and the Service. */
export const chartGateway = (wish: ChartWish): readonly [KubeObject, KubeObject] => {
  const { namespace, release, secretName, forwards, command, privileged = false } = wish;
  const selected = {
    "app.kubernetes.io/name": "flowgen",
    "app.kubernetes.io/instance": release,
    "app.kubernetes.io/component": "wireguard-gateway",
  };
  const metadata = {
    name: `${release}-wireguard-gateway`,
    namespace,
    labels: {
      ...selected,
      app: "flowgen",
      "helm.sh/chart": "flowgen-0.19.0",
      "app.kubernetes.io/managed-by": "Helm",
    },
    annotations: { "meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace },
  };
  const securityContext = {
    runAsUser: 0,
    runAsNonRoot: false,
    capabilities: { add: ["NET_ADMIN"] },
    privileged,
  };
  const blindProbe = {
    exec: { command: ["sh", "-c", "wg show wg0 2>/dev/null | grep -q 'latest handshake'"] },
    failureThreshold: 3,
  };
  const lines = forwards.map(
    ({ port, targetHost, targetPort }) => `socat TCP-LISTEN:${port},fork,reuseaddr TCP:${targetHost}:${targetPort} &`,
  );
  const deployment: KubeObject = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata,
    spec: {
      replicas: 1,
      strategy: { type: "Recreate" },
      selector: { matchLabels: selected },
      template: {
        metadata: { labels: selected },
        spec: {
          containers: [
            {
              name: "wireguard",
              image: WIREGUARD,
              imagePullPolicy: "IfNotPresent",
              ...(command !== undefined && { command }),
              securityContext,
              env: [{ name: "LOG_CONFS", value: "false" }],
              volumeMounts: [
                { name: "wg0-config", mountPath: "/config/wg0.conf", subPath: "wg0.conf", readOnly: true },
                ...(command === undefined ? [{ name: "lib-modules", mountPath: "/lib/modules", readOnly: true }] : []),
              ],
              resources: { limits: { cpu: "200m", memory: "256Mi" }, requests: { cpu: "50m", memory: "64Mi" } },
              livenessProbe: { ...blindProbe, initialDelaySeconds: 15, periodSeconds: 30 },
              readinessProbe: { ...blindProbe, initialDelaySeconds: 10, periodSeconds: 10 },
            },
            {
              name: "port-forward",
              image: "alpine/socat:1.8.0.1",
              command: ["sh", "-c"],
              args: [[...lines, "wait", ""].join("\n")],
              ports: forwards.map(({ name, port }) => ({ name, containerPort: port, protocol: "TCP" })),
              resources: { limits: { cpu: "50m", memory: "32Mi" }, requests: { cpu: "10m", memory: "16Mi" } },
            },
          ],
          volumes: [
            { name: "wg0-config", secret: { secretName, defaultMode: 0o440 } },
            ...(command === undefined
              ? [{ name: "lib-modules", hostPath: { path: "/lib/modules", type: "Directory" } }]
              : []),
          ],
        },
      },
    },
  };
  const service: KubeObject = {
    apiVersion: "v1",
    kind: "Service",
    metadata,
    spec: {
      type: "ClusterIP",
      selector: selected,
      ports: forwards.map(({ name, port, servicePort = port }) => ({
        name,
        port: servicePort,
        targetPort: port,
        protocol: "TCP",
      })),
    },
  };
  return [deployment, service];
};
