/**
 * The API server's validation and defaults, as far as this project's objects meet them: names, labels, sizes, Service
 * ports, Secrets. Webhooks are in webhooks.ts. The messages follow the API server's wording; no code reads them.
 */
import { isEqual } from "../core/equal.ts";
import type { Kind } from "../cluster/cluster.ts";
import { type Fields, filled } from "./fields.ts";
import { webhookDefaults, webhookProblems } from "./webhooks.ts";

type Port = {
  readonly name?: unknown;
  readonly port?: unknown;
  readonly protocol?: unknown;
  readonly targetPort?: unknown;
};
type ServiceSpec = Fields & { readonly ports?: readonly Port[]; readonly clusterIP?: string; readonly type?: string };

const label63 = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const serviceName = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedName = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const dataKey = /^[-._a-zA-Z0-9]{1,253}$/;

const MiB = 1024 * 1024;
const ANNOTATIONS_BYTES = 256 * 1024;
const BODY_BYTES = 3 * MiB;

const isBase64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Whether `data` alone exceeds the API server's limit for a request; other fields are not counted. */
export const isTooLarge = ({ data = {} }: Fields): boolean => dataBytes(data as Fields) > BODY_BYTES;

const dataBytes = (data: Fields): number =>
  Object.values(data).reduce<number>((sum, value) => sum + Buffer.byteLength(value as string), 0);

/** The causes of the API server's 422, one sentence each; empty: the object is valid. */
export const problems = (kind: Kind, namespace: string, name: string, content: Fields): readonly string[] => [
  ...nameProblems(kind, name),
  ...(kind === "Event" ? eventProblems(namespace, (content["involvedObject"] ?? {}) as Fields) : []),
  ...metadataProblems((content["metadata"] ?? {}) as Fields),
  ...(kind === "ConfigMap" ? dataProblems((content["data"] ?? {}) as Fields, dataBytes) : []),
  ...(kind === "Secret" ? secretProblems(content) : []),
  ...(kind === "MutatingWebhookConfiguration" ? webhookProblems(content) : []),
  ...(kind === "Deployment" ? strategyProblems((content["spec"] ?? {}) as Fields) : []),
  ...(kind === "Service" ? serviceProblems((content["spec"] ?? {}) as ServiceSpec) : []),
];

const nameProblems = (kind: Kind, name: string): readonly string[] => {
  if (name === "") return ["metadata.name: Required value: name or generateName is required"];
  const ok = (kind === "Service" ? serviceName : subdomain).test(name);
  const rule = kind === "Service" ? "a DNS-1035 label" : "a lowercase RFC 1123 subdomain";
  return ok ? [] : [`metadata.name: Invalid value: "${name}": must be ${rule}`];
};

const eventProblems = (namespace: string, involved: Fields): readonly string[] =>
  involved["namespace"] === namespace
    ? []
    : ["involvedObject.namespace: Invalid value: does not match event.namespace"];

const isKey = (key: string): boolean => {
  const [name = "", prefix, ...more] = key.split("/").reverse();
  return more.length === 0 && qualifiedName.test(name) && (prefix === undefined || subdomain.test(prefix));
};

const metadataProblems = ({ labels, annotations }: Fields): readonly string[] => {
  const marks = Object.entries((labels ?? {}) as Fields);
  const notes = Object.entries((annotations ?? {}) as Fields);
  let bytes = 0;
  for (const [key, value] of notes) bytes += key.length + Buffer.byteLength(value as string);
  return [
    ...marks
      .filter(([key, value]) => !isKey(key) || (value !== "" && !qualifiedName.test(value as string)))
      .map(([key, value]) => `metadata.labels: Invalid value: "${key}=${String(value)}": must be a qualified name`),
    ...notes
      .filter(([key]) => !isKey(key.toLowerCase()))
      .map(([key]) => `metadata.annotations: Invalid value: "${key}": must be a qualified name`),
    ...(bytes > ANNOTATIONS_BYTES ? ["metadata.annotations: Too long: may not be more than 262144 bytes"] : []),
  ];
};

const secretProblems = ({ type, data = {} }: Fields): readonly string[] => {
  const held = data as Fields;
  const required = type === "kubernetes.io/tls" ? ["tls.crt", "tls.key"] : [];
  return [
    ...dataProblems(held, (secret) => dataBytes(secret) * (3 / 4)),
    ...Object.keys(held)
      .filter((key) => !isBase64.test(held[key] as string))
      .map((key) => `data[${key}]: illegal base64 data`),
    ...required.filter((key) => !(key in held)).map((key) => `data[${key}]: Required value`),
  ];
};

const dataProblems = (data: Fields, sizeOf: (data: Fields) => number): readonly string[] => {
  const bytes = sizeOf(data);
  const bad = Object.keys(data).filter((key) => !dataKey.test(key));
  return [
    ...bad.map((key) => `data[${key}]: Invalid value: "${key}": a valid config key is needed`),
    ...(bytes > MiB ? [`[]: Too long: may not be more than ${MiB} bytes`] : []),
  ];
};

const strategyProblems = ({ strategy = {} }: Fields): readonly string[] => {
  const { type, rollingUpdate } = strategy as Fields;
  return type === "Recreate" && rollingUpdate !== undefined
    ? ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"]
    : [];
};

const serviceProblems = ({ ports = [], clusterIP, type }: ServiceSpec): readonly string[] => {
  if (ports.length === 0) {
    return clusterIP === "None" || type === "ExternalName" ? [] : ["spec.ports: Required value"];
  }
  const names = new Set<unknown>();
  const pairs = new Set<string>();
  return ports.flatMap(({ name = "", port, protocol = "TCP" }, index) => {
    const at = `spec.ports[${index}]`;
    const pair = `${String(protocol)} ${String(port)}`;
    const found = [
      ...(name === "" && ports.length > 1 ? [`${at}.name: Required value`] : []),
      ...(name !== "" && !label63.test(name as string) ? [`${at}.name: Invalid value: "${String(name)}"`] : []),
      ...(name !== "" && names.has(name) ? [`${at}.name: Duplicate value: "${String(name)}"`] : []),
      ...(isPort(port) ? [] : [`${at}.port: Invalid value: ${String(port)}: must be between 1 and 65535, inclusive`]),
      ...(protocols.has(protocol) ? [] : [`${at}.protocol: Unsupported value: "${String(protocol)}"`]),
      ...(pairs.has(pair) ? [`${at}: Duplicate value: "${pair}"`] : []),
    ];
    names.add(name);
    pairs.add(pair);
    return found;
  });
};

const protocols: ReadonlySet<unknown> = new Set(["TCP", "UDP", "SCTP"]);
const isPort = (port: unknown): boolean => Number.isInteger(port) && (port as number) >= 1 && (port as number) <= 65535;

const immutable: Readonly<Partial<Record<Kind, (content: Fields) => Fields>>> = {
  Deployment: ({ spec }) => ({ "spec.selector": (spec as Fields | undefined)?.["selector"] }),
  Service: ({ spec }) => ({ "spec.clusterIP": (spec as Fields | undefined)?.["clusterIP"] }),
  Secret: ({ type }) => ({ type }),
};

/** The immutable fields that an update would change: a 422. */
export const changedImmutable = (kind: Kind, before: Fields, after: Fields): readonly string[] => {
  const fieldsOf = immutable[kind];
  if (fieldsOf === undefined) return [];
  const [old, next] = [fieldsOf(before), fieldsOf(after)];
  return Object.keys(old)
    .filter((field) => !isEqual(old[field], next[field]))
    .map((field) => `${field}: Invalid value: field is immutable`);
};

/**
 * The content with the defaults that a reader may see; itself when nothing is missing. `ip` gives a free cluster IP.
 */
export const withDefaults = (kind: Kind, content: Fields, ip: () => string | undefined): Fields => {
  if (kind === "Pod") return filled(content, { status: pending });
  if (kind === "Secret") return filled(content, { type: "Opaque" });
  if (kind === "MutatingWebhookConfiguration") return webhookDefaults(content);
  const spec = content["spec"] as Fields | undefined;
  if (spec === undefined) return content;
  const full = kind === "Service" ? serviceDefaults(spec, ip) : filled(spec, objectDefaults[kind] ?? {});
  return full === spec ? content : Object.freeze({ ...content, spec: full });
};

const objectDefaults: Readonly<Partial<Record<Kind, Fields>>> = {
  Deployment: Object.freeze({ replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 }),
  NetworkPolicy: Object.freeze({ policyTypes: Object.freeze(["Ingress"]) }),
};

const pending: Fields = Object.freeze({ phase: "Pending" });

const serviceDefaults = (spec: ServiceSpec, ip: () => string | undefined): Fields => {
  const ports = spec.ports?.map((port) => filled(port, { protocol: "TCP", targetPort: port.port }));
  const changed = ports?.some((port, index) => port !== spec.ports?.[index]) === true;
  const withPorts = changed ? Object.freeze({ ...spec, ports: Object.freeze(ports) }) : spec;
  const address = spec.clusterIP ?? ip();
  return filled(withPorts, {
    type: "ClusterIP",
    ...(address !== undefined && { clusterIP: address, clusterIPs: Object.freeze([address]) }),
    sessionAffinity: "None",
    internalTrafficPolicy: "Cluster",
    ipFamilies: Object.freeze(["IPv4"]),
    ipFamilyPolicy: "SingleStack",
  });
};
