/** One gateway: its namespace, Secrets, table and objects. */
import { type KubeObject, refOf } from "../cluster/cluster.ts";
import { isPlaced } from "../core/config/choose.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { identityHolder, secretKeyOf } from "../core/config/identity.ts";
import { gatewayPlaceOf } from "../core/config/siblings.ts";
import { readTable } from "../core/forwards/format.ts";
import type { Table } from "../core/forwards/table.ts";
import { tableName } from "../core/gateway/manifests.ts";
import { gatewayId, MANAGED_BY, MANAGER } from "../core/names.ts";
import { type Finding, findingsOf, isSeen, NO_OBJECT, type Seen } from "./finding.ts";
import { identitiesIn, privateKeyOf, type TunnelSecrets } from "./identities.ts";
import { dataOf } from "./objects.ts";
import { type GatewayQuestion, identityIn, type PodSight, podsFindings } from "./pods.ts";
import { type ObjectSight, policyLossFindings, serviceFindings } from "./tables-objects.ts";

const say = findingsOf("gateway");

/** The objects of one gateway. */
export type GatewaySight = TunnelSecrets &
  PodSight &
  ObjectSight & {
    readonly namespace: Seen<KubeObject | undefined>;
    readonly table: Seen<KubeObject | undefined>;
  };

/**
 * Findings of one gateway, a cause before its consequences. A finding that only follows from another one is left out.
 * `targets`: those of a workload; of them the connections are looked at. `now`: milliseconds since 1970.
 */
export const gatewayFindings = (sight: GatewaySight, targets: readonly string[], now: number): readonly Finding[] => {
  const { gateway, namespace } = sight;
  const object = `gateway ${gateway.namespace}/${gateway.name}`;
  const about = `Namespace ${gateway.namespace}`;
  if (namespace.kind === "seen" && namespace.value === undefined)
    return [say.fault("namespace-missing", about, undefined, { namespace: gateway.namespace, name: "" })];
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
const securityFindings = ({ namespace, gateway }: GatewaySight, about: string): readonly Finding[] => {
  if (namespace.kind === "unseen") return [say.unseen(about, namespace.why)];
  const level = namespace.value?.metadata.labels?.["pod-security.kubernetes.io/enforce"] ?? "privileged";
  return level === "privileged"
    ? []
    : [say.fault("pod-security", about, `it enforces the level ${level}`, { namespace: gateway.namespace, name: "" })];
};

/** Of the value only that it has a private key is looked at; it is not shown. */
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
  const place = { namespace: gateway.namespace, name: secretName, key: secretKey };
  if (secret.value === undefined) return [say.fault("secret-missing", object, what, place)];
  const keys = Object.keys(dataOf(secret.value));
  if (!keys.includes(secretKey)) {
    const has = `${what} reads ${secretKey}; the Secret has ${keys.join(", ") || "no key"}`;
    return [say.fault("secret-key-missing", object, has, place)];
  }
  if (privateKeyOf(tunnel, secretName, secrets) === undefined)
    return [say.fault("secret-unread", object, `${what} reads ${secretKey}`, place)];
  return [say.ok(object, `holds ${secretKey} of ${what}`)];
};

const tableFindings = (sight: GatewaySight, object: string, asked: GatewayQuestion): readonly Finding[] => {
  const { gateway, table, deployment } = sight;
  const about = `ConfigMap ${gateway.namespace}/${tableName(gateway)}`;
  if (table.kind === "unseen") return [say.unseen(about, table.why)];
  if (table.value === undefined)
    return isSeen(deployment) && deployment.value !== undefined
      ? [say.fault("table-lost", about, `Deployment ${gatewayId(gateway)} is there`, NO_OBJECT)]
      : [say.ok(object, "not made yet: the first pod that uses it makes it")];
  if (table.value.metadata.labels?.[MANAGED_BY] !== MANAGER)
    return [say.refused("object-unmanaged", about, "it lacks the label of the webhook's objects")];
  const read = readTable(dataOf(table.value)["table.json"] ?? "", "table.json");
  if (read.kind !== "table") return [say.refused(read.reason, about, "message" in read ? read.message : read.detail)];
  return [...fillFindings(read.table, gateway, object), ...objectFindings(read.table, sight, object, asked)];
};

const fillFindings = ({ forwards }: Table, { maxForwards }: PlacedGateway, object: string): readonly Finding[] => {
  const used = `${forwards.length} of ${maxForwards} forwards`;
  if (forwards.length >= maxForwards) return [say.fault("forwards-full", object, used, NO_OBJECT)];
  return [
    forwards.length >= 0.8 * maxForwards
      ? say.fault("forwards-nearly-full", object, used, NO_OBJECT)
      : say.ok(object, used),
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
  return [
    ...pods,
    ...serviceFindings(table, sight).filter(({ code }) => !isDown || code !== "service-without-pod"),
    ...policyLossFindings(sight),
  ];
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
    return say.fault("gateway-orphan", `Deployment ${gatewayId(refOf(each))}`, held, refOf(each));
  });
};
