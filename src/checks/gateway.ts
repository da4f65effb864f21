/** One gateway: its namespace, Secrets, table and objects. */
import { type KubeObject, refOf } from "../cluster/cluster.ts";
import { isPlaced } from "../core/config/choose.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { identityHolder, secretKeyOf } from "../core/config/identity.ts";
import { gatewayPlaceOf } from "../core/config/siblings.ts";
import { readTable } from "../core/forwards/format.ts";
import { forwardsOf, type Table } from "../core/forwards/table.ts";
import { tableName } from "../core/gateway/manifests.ts";
import { gatewayId, MANAGED_BY, MANAGER } from "../core/names.ts";
import { type Finding, findingsOf, isSeen, type Seen } from "./finding.ts";
import { dataOf, hasReady, isSliceOf, portsOf } from "./objects.ts";
import { identitiesIn, type TunnelSecrets } from "./identities.ts";
import { type GatewayQuestion, identityIn, type PodSight, podsFindings } from "./pods.ts";

const say = findingsOf("gateway");

/** The objects of one gateway. */
export type GatewaySight = TunnelSecrets &
  PodSight & {
    readonly namespace: Seen<KubeObject | undefined>;
    readonly table: Seen<KubeObject | undefined>;
    readonly services: Seen<readonly KubeObject[]>;
    readonly slices: Seen<readonly KubeObject[]>;
  };

/**
 * Findings of one gateway, a cause before its consequences. A finding that only follows from another one is left out.
 * `targets`: those of a workload; of them the connections are looked at. `now`: milliseconds since 1970.
 */
export const gatewayFindings = (sight: GatewaySight, targets: readonly string[], now: number): readonly Finding[] => {
  const { gateway, namespace } = sight;
  const object = `gateway ${gateway.namespace}/${gateway.name}`;
  const about = `Namespace ${gateway.namespace}`;
  if (namespace.kind === "seen" && namespace.value === undefined) return [say.fault("namespace-missing", about)];
  const secrets = identitiesIn(gateway).map(({ tunnel, secretName }) => ({
    identity: identityIn(tunnel, secretName),
    findings: secretFindings(tunnel, secretName, sight),
  }));
  const faulty = new Set(secrets.filter(({ findings }) => findings.some(isFault)).map(({ identity }) => identity));
  return [
    ...securityFindings(sight, about),
    ...secrets.flatMap(({ findings }) => findings),
    ...tableFindings(sight, object, { faulty, targets, now }),
  ];
};

const isFault = ({ level }: Finding): boolean => level === "error";

/**
 * NET_ADMIN is beyond the level "baseline". A namespace without the label has the cluster's default, which is not in
 * the API.
 */
const securityFindings = ({ namespace }: GatewaySight, about: string): readonly Finding[] => {
  if (namespace.kind === "unseen") return [say.unseen(about, namespace.why)];
  const level = namespace.value?.metadata.labels?.["pod-security.kubernetes.io/enforce"] ?? "privileged";
  return level === "privileged" ? [] : [say.fault("pod-security", about, `it enforces the level ${level}`)];
};

/** Only that a key is there is looked at; its value is neither read nor shown. */
const secretFindings = (
  tunnel: PlacedGateway["tunnels"][number],
  secretName: string,
  { gateway, secrets }: GatewaySight,
): readonly Finding[] => {
  const { name } = tunnel;
  const secretKey = secretKeyOf(tunnel);
  const secret = secrets.get(secretName);
  const object = `Secret ${gateway.namespace}/${secretName}`;
  const what = `tunnel ${name}`;
  if (secret === undefined || secret.kind === "unseen") return [say.unseen(object, secret?.why ?? "not read")];
  if (secret.value === undefined) return [say.fault("secret-missing", object, what)];
  const keys = Object.keys(dataOf(secret.value));
  if (keys.includes(secretKey)) return [say.ok(object, `holds ${secretKey} of ${what}`)];
  return [
    say.fault(
      "secret-key-missing",
      object,
      `${what} reads ${secretKey}; the Secret has ${keys.join(", ") || "no key"}`,
    ),
  ];
};

const tableFindings = (sight: GatewaySight, object: string, asked: GatewayQuestion): readonly Finding[] => {
  const { gateway, table } = sight;
  const about = `ConfigMap ${gateway.namespace}/${tableName(gateway)}`;
  if (table.kind === "unseen") return [say.unseen(about, table.why)];
  if (table.value === undefined) return [say.ok(object, "not made yet: the first pod that uses it makes it")];
  if (table.value.metadata.labels?.[MANAGED_BY] !== MANAGER)
    return [say.refused("object-unmanaged", about, "it lacks the label of the webhook's objects")];
  const read = readTable(dataOf(table.value)["table.json"] ?? "", about);
  if (read.kind !== "table") return [say.refused(read.reason, about, "message" in read ? read.message : read.detail)];
  return [...fillFindings(read.table, gateway, object), ...objectFindings(read.table, sight, object, asked)];
};

const fillFindings = ({ forwards }: Table, { maxForwards }: PlacedGateway, object: string): readonly Finding[] => {
  const used = `${forwards.length} of ${maxForwards} forwards`;
  if (forwards.length >= maxForwards) return [say.fault("forwards-full", object, used)];
  return [
    forwards.length >= 0.8 * maxForwards ? say.fault("forwards-nearly-full", object, used) : say.ok(object, used),
  ];
};

/** A Service without a ready pod follows from a pod that is not ready. */
const objectFindings = (
  table: Table,
  sight: GatewaySight,
  object: string,
  asked: GatewayQuestion,
): readonly Finding[] => {
  const pods = podsFindings(sight, asked, object);
  const isDown = asked.faulty.size > 0 || pods.some(isFault);
  return [...pods, ...serviceFindings(table, sight).filter(({ code }) => !isDown || code !== "service-without-pod")];
};

/** The ports that each Service must offer: the gateway's own, and one for each host that has one. */
const serviceFindings = (table: Table, { gateway, services, slices }: GatewaySight): readonly Finding[] => {
  if (services.kind === "unseen") return [say.unseen(`Services of ${gateway.namespace}`, services.why)];
  const own = table.forwards.flatMap(({ servicePort }) => servicePort ?? []);
  const wanted = [
    { name: gateway.name, ports: own },
    ...table.services.map((service) => ({
      name: service.name,
      ports: forwardsOf(table, service).map(({ targetPort }) => targetPort),
    })),
  ];
  return wanted.flatMap(({ name, ports }) => {
    const about = `Service ${gateway.namespace}/${name}`;
    const service = services.value.find(({ metadata }) => metadata.name === name);
    if (service === undefined) return [say.fault("service-lost", about)];
    const lost = ports.filter((port) => !portsOf(service).includes(port));
    if (lost.length > 0) return [say.fault("service-port-lost", about, `port ${lost.join(", ")}`)];
    const isLed = !isSeen(slices) || slices.value.some((slice) => isSliceOf(slice, name) && hasReady(slice));
    return isLed || ports.length === 0 ? [] : [say.fault("service-without-pod", about)];
  });
};

/**
 * Gateways of the webhook that the config does not know, or has disabled, and whose identity they may hold. `deployments`: those with its label, in all
 * namespaces. `placed`: the config's gateways.
 */
export const orphanFindings = (
  deployments: Seen<readonly KubeObject[]>,
  config: Config | undefined,
  placed: readonly PlacedGateway[],
): readonly Finding[] => {
  if (deployments.kind === "unseen") return [say.unseen("gateways of all namespaces", deployments.why)];
  const orphans = deployments.value.filter((each) => config !== undefined && !isPlaced(config, gatewayPlaceOf(each)));
  return orphans.map((each) => {
    const heir = placed.find((gateway) => identityHolder(gateway, [each]) !== undefined);
    const held =
      heir && `it mounts a Secret of the name that ${gatewayId(heir)} mounts: one pod only can hold an identity`;
    return say.fault("gateway-orphan", `Deployment ${gatewayId(refOf(each))}`, held);
  });
};
