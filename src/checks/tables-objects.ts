/** The objects that follow from a gateway's forward table: its Services and its NetworkPolicy. */
import type { KubeObject } from "../cluster/cluster.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { forwardsOf, type Table } from "../core/forwards/table.ts";
import { type Finding, findingsOf, isSeen, NO_OBJECT, type Seen } from "./finding.ts";
import { hasReady, isSliceOf, portsOf } from "./objects.ts";

const say = findingsOf("gateway");

export type ObjectSight = {
  readonly gateway: PlacedGateway;
  readonly services: Seen<readonly KubeObject[]>;
  readonly slices: Seen<readonly KubeObject[]>;
  /** The NetworkPolicy of the gateway's name. */
  readonly policy: Seen<KubeObject | undefined>;
};

/** The ports that each Service must offer: the gateway's own, and one for each host that has one. */
export const serviceFindings = (table: Table, { gateway, services, slices }: ObjectSight): readonly Finding[] => {
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
    if (service === undefined) return [say.fault("service-lost", about, undefined, NO_OBJECT)];
    const lost = ports.filter((port) => !portsOf(service).includes(port));
    if (lost.length > 0) return [say.fault("service-port-lost", about, `port ${lost.join(", ")}`, NO_OBJECT)];
    const isLed = !isSeen(slices) || slices.value.some((slice) => isSliceOf(slice, name) && hasReady(slice));
    return isLed || ports.length === 0 ? [] : [say.fault("service-without-pod", about)];
  });
};

/** A gateway without its NetworkPolicy takes connections from every pod. */
export const policyLossFindings = ({ gateway, policy }: ObjectSight): readonly Finding[] => {
  const about = `NetworkPolicy ${gateway.namespace}/${gateway.name}`;
  if (policy.kind === "unseen") return [say.unseen(about, policy.why)];
  return policy.value === undefined ? [say.fault("policy-lost", about, undefined, NO_OBJECT)] : [];
};
