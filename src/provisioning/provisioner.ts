import { type Cluster, ClusterError } from "../cluster/cluster.ts";
import { sleepUnless } from "../cluster/waiting.ts";
import { placedGateways } from "../core/config/choose.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { gatewayId } from "../core/names.ts";
import type { Provisioned } from "./attempt.ts";
import { createIntents } from "./intent.ts";
import { createLane, type Lane, type LaneParts } from "./lane.ts";
import type { Repair, Request } from "./request.ts";

export type Provisioner = (request: Request) => Promise<Provisioned>;

/** A gateway that could not be kept as it should be, and why. */
export type Unrepaired = {
  readonly gateway: PlacedGateway;
  readonly why: Exclude<Provisioned, { kind: "assigned" }> | ClusterError;
};

export type Provisioning = {
  readonly provision: Provisioner;
  /**
   * Undoes what differs from the table and the config in the gateways of the config that exist. Of gateways without a
   * namespace these are the ones that this process knows. Writes nothing where nothing differs. `each`: the time that
   * one gateway may take.
   */
  readonly repair: (config: Config, repair: Repair, each: () => AbortSignal) => Promise<readonly Unrepaired[]>;
};

export type ProvisionOptions = Pick<LaneParts, "scripts"> & Partial<Omit<LaneParts, "cluster" | "scripts">>;

/** Above this many, lanes of gateways that no pod asks for any more are dropped: namespaces with gateways of their own come and go. */
const MANY_LANES = 100;
/** No more are kept: a lane holds some 40 kB, and names of namespaces cost nothing. */
const MOST_LANES = 500;

type Known = { readonly lane: Lane; readonly gateway: PlacedGateway };

/**
 * Makes the function that gives targets their forwards, by a lane for each gateway, and the one that keeps the gateways. Replicas meet
 * at the table's `resourceVersion`: a replica whose write is answered with 409 reads and allocates again.
 */
export const createProvisioning = (cluster: Cluster, options: ProvisionOptions): Provisioning => {
  const defaults = { keeps: false, events: {}, now: () => performance.now(), random: Math.random, pause: sleepUnless };
  const parts: LaneParts = { cluster, intents: createIntents(), ...defaults, ...options };
  const lanes = new Map<string, Known>();
  const laneOf = (gateway: PlacedGateway): Lane => {
    const key = gatewayId(gateway);
    const known = lanes.get(key)?.lane;
    if (known !== undefined) return known;
    if (lanes.size >= MANY_LANES)
      for (const [name, { lane }] of lanes)
        if (lane.isIdle() || (lanes.size >= MOST_LANES && !lane.isBusy())) lanes.delete(name);
    const lane = createLane(parts);
    lanes.set(key, { lane, gateway });
    return lane;
  };
  const provision: Provisioner = (request) => laneOf(request.gateway).join(request);
  const repair: Provisioning["repair"] = async (config, repair, each) => {
    const unrepaired: Unrepaired[] = [];
    const known = [...lanes.values()].map(({ gateway }) => gateway);
    for (const gateway of placedGateways(config, known)) {
      const signal = each();
      try {
        const kept = await provision({ config, gateway, wants: [], write: true, repair, signal: () => signal });
        if (kept.kind !== "assigned") unrepaired.push({ gateway, why: kept });
      } catch (error) {
        if (!(error instanceof ClusterError)) throw error;
        unrepaired.push({ gateway, why: error });
      }
    }
    return unrepaired;
  };
  return { provision, repair };
};

/** As `createProvisioning`, for who keeps no gateways. */
export const createProvisioner = (cluster: Cluster, options: ProvisionOptions): Provisioner =>
  createProvisioning(cluster, options).provision;
