/** The Deployments of a gateway, one for each identity, with their pods and what these say of their tunnels. */
import { type KubeObject, refOf } from "../cluster/cluster.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { secretKeyOf } from "../core/config/identity.ts";
import { asSibling, hasSiblings, siblingsOf } from "../core/gateway/siblings.ts";
import { MANAGED_BY, MANAGER } from "../core/names.ts";
import { type Finding, findingsOf, isSeen, NO_OBJECT, type Seen } from "./finding.ts";
import { statusIn } from "./objects.ts";
import { troubleOf } from "./trouble.ts";
import { tunnelFindings } from "./tunnels.ts";

const say = findingsOf("gateway");

/** A pod of a gateway. */
export type GatewayPod = {
  readonly pod: KubeObject;
  /** The kubelet's Events about it, where it is not ready. */
  readonly events: Seen<readonly KubeObject[]>;
  /** `undefined`: it offers none. */
  readonly metrics: Seen<string | undefined>;
};

export type PodSight = {
  readonly gateway: PlacedGateway;
  /** The one of the gateway's name, and all that carry its label. */
  readonly deployment: Seen<KubeObject | undefined>;
  readonly siblings: Seen<readonly KubeObject[]>;
  readonly pods: Seen<readonly GatewayPod[]>;
  /** The public keys by identity (`identityIn`), of the Secrets that were read. */
  readonly publicKeys: ReadonlyMap<string, string>;
};

/** A workload's targets, and the faults that are known before the pods are looked at. */
export type GatewayQuestion = {
  /** Of these targets (`host:port`) the connections are looked at. */
  readonly targets: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Identities whose Secret is the fault already. */
  readonly faulty: ReadonlySet<string>;
};

type Tunnel = PlacedGateway["tunnels"][number];
/** The name of an identity: a key of a Secret. */
export const identityIn = (tunnel: Tunnel, secretName = tunnel.secretName): string =>
  `${secretName}/${secretKeyOf(tunnel)}`;

export const podsFindings = (sight: PodSight, asked: GatewayQuestion, object: string): readonly Finding[] => {
  const { gateway, deployment, siblings } = sight;
  const about = `Deployment ${gateway.namespace}/${gateway.name}`;
  if (deployment.kind === "unseen") return [say.unseen(about, deployment.why)];
  if (deployment.value !== undefined && deployment.value.metadata.labels?.[MANAGED_BY] !== MANAGER)
    return [say.refused("object-unmanaged", about, "it lacks the label of the webhook's objects")];
  const others = isSeen(siblings) ? siblings.value.filter(({ metadata }) => metadata.name !== gateway.name) : [];
  const all = [...(deployment.value ? [deployment.value] : []), ...others];
  if (all.length === 0) return [say.fault("gateway-missing", about, undefined, NO_OBJECT)];
  const bound = siblingsOf(gateway, all);
  const ready = all.filter(isUp).length;
  const down = ready === 0 ? "gateway-down" : "sibling-down";
  const members = bound.flatMap((sibling): readonly Finding[] => {
    const own = all.find(({ metadata }) => metadata.name === sibling.name);
    const name = `Deployment ${gateway.namespace}/${sibling.name}`;
    // A Deployment that is not there has no log.
    if (own === undefined) return [say.fault(down, name, "it does not exist")];
    const scope = { ...sight, gateway: hasSiblings(gateway) ? asSibling(gateway, sibling) : gateway };
    return memberFindings({ scope, own, name, object, down, isAlone: all.length === 1 }, asked);
  });
  const count = bound.length === 1 ? "its pod is ready" : `its ${bound.length} pods are ready`;
  return ready >= bound.length ? [say.ok(object, count), ...members] : members;
};

const isUp = (deployment: KubeObject): boolean => (statusIn(deployment).readyReplicas ?? 0) > 0;

/** One Deployment: `scope` is the gateway with its identity alone, `down` the code where nothing more is known. */
type Member = {
  readonly scope: PodSight;
  readonly own: KubeObject;
  readonly name: string;
  readonly object: string;
  readonly down: "gateway-down" | "sibling-down";
  readonly isAlone: boolean;
};

const memberFindings = (member: Member, asked: GatewayQuestion): readonly Finding[] => {
  const { scope, own, name, object, down, isAlone } = member;
  const place = refOf(own);
  if (scope.pods.kind === "unseen") {
    const tunnels = say.unseen(object, `its tunnels' handshakes: ${scope.pods.why}`);
    return isUp(own) ? [tunnels] : [say.fault(down, name, undefined, place), tunnels];
  }
  // A Deployment's pod has its name, and two hashes behind it.
  const isOwn = ({ pod }: GatewayPod): boolean =>
    isAlone || (pod.metadata.name ?? "").replace(/-[^-]+-[^-]+$/, "") === own.metadata.name;
  const found = scope.pods.value.find(isOwn);
  if (found === undefined) {
    const failure = statusIn(own).conditions?.find(({ type }) => type === "ReplicaFailure")?.message;
    return isUp(own) ? [] : [say.fault(down, name, failure ?? "it has no pod")];
  }
  const trouble = isUp(own) ? undefined : troubleOf(found.pod, found.events, down);
  const isFaulty = scope.gateway.tunnels.some((tunnel) => asked.faulty.has(identityIn(tunnel)));
  // A pod that only waits is explained by its Secret.
  if (trouble && !(isFaulty && trouble.code === down)) return [say.fault(trouble.code, name, trouble.detail, place)];
  const tunnels = tunnelsOf(member, found, asked);
  const isExplained = isUp(own) || isFaulty || tunnels.some(({ level }) => level === "error");
  return isExplained ? tunnels : [say.fault(down, name, "its containers run", place), ...tunnels];
};

const tunnelsOf = ({ scope, own, object, isAlone }: Member, { metrics }: GatewayPod, asked: GatewayQuestion) => {
  const { gateway, publicKeys } = scope;
  const named = gateway.tunnels.map((tunnel) => [tunnel.name, identityIn(tunnel)] as const);
  return tunnelFindings({
    ...{ gateway, metrics, targets: asked.targets, now: asked.now, place: refOf(own) },
    object: isAlone ? object : `Deployment ${gateway.namespace}/${own.metadata.name ?? ""}`,
    faulty: new Set(named.flatMap(([name, identity]) => (asked.faulty.has(identity) ? [name] : []))),
    publicKeys: new Map(named.map(([name, identity]) => [name, publicKeys.get(identity)])),
  });
};
