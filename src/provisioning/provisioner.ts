import type { Cluster } from "../cluster/cluster.ts";
import { sleepUnless } from "../cluster/waiting.ts";
import { gatewayId } from "../core/names.ts";
import type { Provisioned } from "./attempt.ts";
import { createLane, type Lane, type LaneParts, type Request } from "./lane.ts";

export type Provisioner = (request: Request) => Promise<Provisioned>;

export type ProvisionOptions = Pick<LaneParts, "scripts"> & Partial<Omit<LaneParts, "cluster" | "scripts">>;

/** Above this many, lanes of gateways that no pod asks for any more are dropped: namespaces with gateways of their own come and go. */
const MANY_LANES = 100;

/**
 * Makes the function that gives targets their forwards, by a lane for each gateway. Replicas meet at the table's `resourceVersion`:
 * a replica whose write is answered with 409 reads and allocates again.
 */
export const createProvisioner = (cluster: Cluster, options: ProvisionOptions): Provisioner => {
  const defaults = { events: {}, now: () => performance.now(), random: Math.random, pause: sleepUnless };
  const parts: LaneParts = { cluster, ...defaults, ...options };
  const lanes = new Map<string, Lane>();
  const laneOf = (key: string): Lane => {
    const known = lanes.get(key);
    if (known !== undefined) return known;
    if (lanes.size >= MANY_LANES) for (const [name, lane] of lanes) if (lane.isIdle()) lanes.delete(name);
    const lane = createLane(parts);
    lanes.set(key, lane);
    return lane;
  };
  return (request) => laneOf(gatewayId(request.gateway)).join(request);
};
