/**
 * A gateway's objects as a lane knows them while other replicas write too. A round then reads the table, and only those
 * other objects that were added. A write to an object that has changed is refused, and all are read again.
 */
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { identitiesOf } from "../core/gateway/siblings.ts";
import type { GatewayObjects } from "./objects.ts";

/** A gateway's objects, when the reading of the table began, and of all others. */
export type Reading = {
  readonly objects: GatewayObjects;
  readonly readAt: number;
  readonly objectsAt: number;
  /** Other replicas write too: they may have written the other objects since. */
  readonly isBeside: boolean;
};

/** After a lost race others are taken to write for so long. No object is taken to be as it was for longer. */
const BESIDE_MS = 5000;

export type Known = {
  /** Whether others write too. `isLost`: a race for the table was lost just now. */
  readonly isBeside: (at: number, isLost: boolean) => boolean;
  /** The reading whose objects are recent enough. `lost`: the one of a race that was lost just now. */
  readonly since: (config: Config, at: number, lost: Reading | undefined) => Reading | undefined;
  readonly forget: () => void;
  /** `made`: the objects of the reading after the round. */
  readonly keep: (of: Kept, reading: Reading, made: GatewayObjects) => void;
};

type Kept = { readonly config: Config; readonly gateway: PlacedGateway };

export const createKnown = (): Known => {
  let besideUntil = -Infinity;
  let last: { readonly config: Config; readonly reading: Reading } | undefined;
  const isBeside: Known["isBeside"] = (at, isLost) => {
    if (isLost) besideUntil = at + BESIDE_MS;
    return at <= besideUntil;
  };
  return {
    isBeside,
    since: (config, at, lost) => {
      const reading = lost ?? (isBeside(at, false) && last?.config === config ? last.reading : undefined);
      return reading !== undefined && at - reading.objectsAt <= BESIDE_MS ? reading : undefined;
    },
    forget: () => {
      last = undefined;
    },
    keep: ({ config, gateway }, reading, made) => {
      const { scripts, service, deployments } = reading.objects;
      const isWhole = scripts !== undefined && service !== undefined;
      // An object that the round had to make besides is known when it was read.
      if (reading.isBeside && isWhole && deployments.length >= identitiesOf(gateway).length)
        last = { config, reading: { ...reading, objects: made } };
    },
  };
};
