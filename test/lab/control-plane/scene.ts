// Shared by the cluster tests: a control plane with the webhook installed, the namespaces of two teams, and flowgen's
// workloads as its chart makes them. There is no node: pods are admitted and stored, and stay Pending.
import { readFileSync } from "node:fs";
import type { Test } from "tap";
import type { KubeObject } from "../../../src/cluster/cluster.ts";
import type { Pod } from "../../../src/core/pod.ts";
import { type ControlPlane, type Options, startControlPlane } from "./control-plane.ts";
import type { Result } from "./kubectl.ts";
import { freePorts } from "./ports.ts";
import { install, type Installed, kubectl as run } from "./webhook.ts";
import { eventually } from "../../wait.ts";

/** The text of a file in examples/. */
export const example = (name: string): string =>
  readFileSync(new URL(`../../../examples/${name}`, import.meta.url), "utf8");

/** Where the example config's gateway is, and the name that pods know it by. */
export const GATEWAY = { namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway" } as const;
export const HOST = `${GATEWAY.name}.${GATEWAY.namespace}.svc`;

/** A config of that gateway with one tunnel to all of 10.0.0.0/8. */
export const ONE_TUNNEL = `
gateways:
  - name: ${GATEWAY.name}
    namespace: ${GATEWAY.namespace}
    tunnels: [{name: wg0, secretName: wireguard-client-a, allowedTargets: [10.0.0.0/8]}]
`;

export type Scene = {
  readonly controlPlane: ControlPlane;
  readonly installed: Installed;
  /** Runs kubectl as admin, which must succeed. */
  readonly kubectl: (args: readonly string[], input?: string) => Promise<string>;
  /** The output of `kubectl get … -o json`. */
  readonly get: <T>(...args: readonly string[]) => Promise<T>;
  readonly list: <T = KubeObject>(...args: readonly string[]) => Promise<readonly T[]>;
  /** Creates an object, and says how it went. */
  readonly create: (object: object, ...flags: readonly string[]) => Promise<Result>;
  /** Creates a pod, which must succeed: as it is then. */
  readonly made: (pod: object, ...flags: readonly string[]) => Promise<Pod>;
  /** Applies objects, which must succeed. */
  readonly apply: (...objects: readonly object[]) => Promise<string>;
  /** The pods of an instance, once there are exactly so many. */
  readonly podsOf: (namespace: string, instance: string, count: number) => Promise<readonly Pod[]>;
};

export type SceneOptions = Options & {
  /** The webhook's config, YAML; default: the one in examples/. */
  readonly config?: string;
};

/**
 * Starts a control plane, registers the webhook (which `installed.start` starts) and makes the namespaces team-a and
 * team-b.
 */
export const startScene = async (t: Test, options: SceneOptions = {}): Promise<Scene> => {
  const controlPlane = await startControlPlane(options);
  t.teardown(controlPlane.stop);
  const [port = 0] = await freePorts(1);
  const installed = await install(controlPlane, options.config ?? example("webhook-config.yaml"), port);
  const kubectl: Scene["kubectl"] = (args, input = "") => run(controlPlane, args, input);
  for (const namespace of ["team-a", "team-b"]) {
    await kubectl(["create", "namespace", namespace]);
    if (options.controllerManager === false) {
      await kubectl(["create", "serviceaccount", "default", `--namespace=${namespace}`]);
    }
  }
  const create: Scene["create"] = (object, ...flags) =>
    controlPlane.kubectl(["create", "-f", "-", ...flags], { input: JSON.stringify(object) });
  // The namespaces take pods when they have their ServiceAccounts, and the webhook, which does not serve yet, is asked
  // about them.
  for (const namespace of ["team-a", "team-b"]) {
    const pod = flowgenPod(namespace, "first", targets("mssql=10.0.0.5:1433"));
    await eventually(
      "the webhook is registered",
      20_000,
      async () => (await create(pod, "--dry-run=server")).stderr.match(/failed calling webhook/)?.index,
    );
  }
  const get: Scene["get"] = async <T>(...args: readonly string[]) =>
    JSON.parse(await kubectl(["get", ...args, "-o", "json"])) as T;
  const list: Scene["list"] = async <T>(...args: readonly string[]) =>
    (await get<{ readonly items: readonly T[] }>(...args)).items;
  return {
    controlPlane,
    installed,
    kubectl,
    get,
    list,
    create,
    made: async (pod, ...flags) =>
      JSON.parse(await kubectl(["create", "-o", "json", "-f", "-", ...flags], JSON.stringify(pod))) as Pod,
    apply: (...items) => kubectl(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items })),
    podsOf: (namespace, instance, count) =>
      eventually(`${count} pods of ${instance}`, 20_000, async () => {
        const selector = `app.kubernetes.io/instance=${instance}`;
        const pods = await list<Pod>("pods", `--namespace=${namespace}`, "-l", selector);
        return pods.length === count ? pods : undefined;
      }),
  };
};

type Env = Readonly<Record<string, string>>;
type Annotations = Readonly<Record<string, string>>;

/** The labels that the chart gives to the pods of a release. */
export const labelsOf = (instance: string): Readonly<Record<string, string>> => ({
  app: "flowgen",
  "app.kubernetes.io/name": "flowgen",
  "app.kubernetes.io/instance": instance,
});

/** The annotation that asks for these targets. */
export const targets = (text: string): Annotations => ({ "flowgen.io/private-targets": text });

/** A pod template as the flowgen chart makes it, with its security context. */
export const flowgenTemplate = (instance: string, annotations: Annotations, env: Env = {}) => ({
  metadata: { labels: labelsOf(instance), annotations },
  spec: {
    securityContext: { runAsNonRoot: true, runAsUser: 65534, fsGroup: 65534 },
    containers: [
      {
        name: "flowgen",
        image: "ghcr.io/connve/flowgen:0.19.0",
        command: ["/bin/flowgen", "--config", "/etc/app/config.yaml"],
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
          seccompProfile: { type: "RuntimeDefault" },
        },
        env: Object.entries(env).map(([name, value]) => ({ name, value })),
      },
    ],
  },
});

/** A flowgen pod without an owner: its name is its instance too. */
export const flowgenPod = (namespace: string, name: string, annotations: Annotations, env: Env = {}) => {
  const { metadata, spec } = flowgenTemplate(name, annotations, env);
  return { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name, namespace }, spec };
};

/** A flowgen Deployment as the chart makes it, annotations on itself too. */
export const flowgenDeployment = (
  namespace: string,
  name: string,
  replicas: number,
  annotations: Annotations,
  env: Env = {},
) => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace, labels: labelsOf(name), annotations },
  spec: {
    replicas,
    selector: { matchLabels: { "app.kubernetes.io/name": "flowgen", "app.kubernetes.io/instance": name } },
    template: flowgenTemplate(name, annotations, env),
  },
});
