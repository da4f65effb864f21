// From a pod in the API server to the container that plays it: env, volumes and the security context, as a kubelet
// makes them.
import { chown, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Api } from "../control-plane/api.ts";
import type { ContainerSpec } from "./container.ts";

type Source = { readonly name?: string; readonly secretName?: string; readonly items?: readonly Item[] };
type Item = { readonly key: string; readonly path: string };
type Projection = {
  readonly serviceAccountToken?: { readonly path: string; readonly expirationSeconds: number };
  readonly configMap?: Source;
  readonly downwardAPI?: { readonly items: readonly { readonly path: string; readonly fieldRef: FieldRef }[] };
};
type FieldRef = { readonly fieldPath: string };
type Volume = {
  readonly name: string;
  readonly configMap?: Source;
  readonly secret?: Source;
  readonly projected?: { readonly sources: readonly Projection[] };
};
export type Probe = {
  readonly httpGet: { readonly path: string; readonly port: string; readonly scheme: string };
  readonly periodSeconds: number;
  readonly failureThreshold: number;
};
export type PlayedPod = {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec: {
    readonly nodeName?: string;
    readonly serviceAccountName: string;
    readonly terminationGracePeriodSeconds: number;
    readonly securityContext: { readonly runAsUser: number; readonly runAsGroup: number };
    readonly containers: readonly [
      {
        readonly name: string;
        readonly args: readonly string[];
        readonly env?: readonly {
          readonly name: string;
          readonly value?: string;
          readonly valueFrom?: { readonly fieldRef: FieldRef };
        }[];
        readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
        readonly readinessProbe: Probe;
        readonly livenessProbe: Probe;
        readonly startupProbe: Probe;
        readonly securityContext: { readonly readOnlyRootFilesystem: boolean };
        readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
      },
    ];
    readonly volumes: readonly Volume[];
  };
  readonly status: { readonly phase: string };
};

/**
 * Writes the pod's volumes below `folder` and says how to start its container. Rejects while a ConfigMap or Secret is
 * missing.
 */
export const prepare = async (api: Api, pod: PlayedPod, folder: string): Promise<ContainerSpec> => {
  const [container] = pod.spec.containers;
  const { runAsUser: user, runAsGroup: group } = pod.spec.securityContext;
  const mounts: Record<string, string> = {};
  for (const { name, mountPath } of container.volumeMounts) {
    const volume = pod.spec.volumes.find((each) => each.name === name);
    if (volume === undefined) throw new Error(`no volume ${name}`);
    mounts[mountPath] = join(folder, name);
    await writeVolume(mounts[mountPath], await filesOf(api, pod, volume), user);
  }
  const env = Object.fromEntries(
    (container.env ?? []).map(({ name, value, valueFrom }) => [name, value ?? field(pod, valueFrom?.fieldRef)]),
  );
  const readOnlyRoot = container.securityContext.readOnlyRootFilesystem;
  return { args: container.args, env, mounts, user, group, readOnlyRoot };
};

const field = ({ metadata }: PlayedPod, ref: FieldRef | undefined): string => {
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": metadata.name,
    "metadata.namespace": metadata.namespace,
  };
  const value = fields[ref?.fieldPath ?? ""];
  if (value === undefined) throw new Error(`this kubelet does not know the field ${String(ref?.fieldPath)}`);
  return value;
};

type Files = Readonly<Record<string, string | Buffer>>;

const filesOf = async (api: Api, pod: PlayedPod, { name, configMap, secret, projected }: Volume): Promise<Files> => {
  if (configMap !== undefined) return dataOf(api, pod, "configmaps", configMap);
  if (secret !== undefined) return dataOf(api, pod, "secrets", secret);
  if (projected === undefined) throw new Error(`this kubelet does not know the kind of volume ${name}`);
  const parts = await Promise.all(projected.sources.map((source) => projectionOf(api, pod, source)));
  return Object.assign({}, ...parts) as Files;
};

const dataOf = async (api: Api, { metadata }: PlayedPod, plural: string, source: Source): Promise<Files> => {
  const name = source.name ?? source.secretName ?? "";
  const found = await api.read<{ data?: Record<string, string> }>(
    `/api/v1/namespaces/${metadata.namespace}/${plural}/${name}`,
  );
  if (found === undefined) throw new Error(`${plural} ${name} is missing`);
  const data = Object.entries(found.data ?? {}).map(([key, value]): [string, string | Buffer] => [
    source.items?.find((item) => item.key === key)?.path ?? key,
    plural === "secrets" ? Buffer.from(value, "base64") : value,
  ]);
  return Object.fromEntries(data);
};

const projectionOf = async (api: Api, pod: PlayedPod, source: Projection): Promise<Files> => {
  if (source.configMap !== undefined) return dataOf(api, pod, "configmaps", source.configMap);
  if (source.downwardAPI !== undefined)
    return Object.fromEntries(source.downwardAPI.items.map(({ path, fieldRef }) => [path, field(pod, fieldRef)]));
  const { path = "token", expirationSeconds } = source.serviceAccountToken ?? {};
  return { [path]: await tokenOf(api, pod, expirationSeconds) };
};

/** A token of the pod's ServiceAccount that ends with the pod, as a kubelet asks for it. */
const tokenOf = async (api: Api, { metadata, spec }: PlayedPod, expirationSeconds = 3600): Promise<string> => {
  const boundObjectRef = { apiVersion: "v1", kind: "Pod", name: metadata.name, uid: metadata.uid };
  const { status, body } = await api.ask(
    "POST",
    `/api/v1/namespaces/${metadata.namespace}/serviceaccounts/${spec.serviceAccountName}/token`,
    { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds, boundObjectRef } },
  );
  if (status !== 201) throw new Error(`no token: ${String(body["message"])}`);
  return (body["status"] as { token: string }).token;
};

const writeVolume = async (folder: string, files: Files, user: number): Promise<void> => {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o755 });
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true, mode: 0o755 });
    await writeFile(file, content, { mode: path === "token" ? 0o600 : 0o644 });
    if (path === "token") await chown(file, user, -1);
  }
};
