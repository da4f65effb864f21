import type { Deployed } from "../provisioning/rolling.ts";

/** The gateways of several identities whose Deployments are not yet as the config has them. */
export type Rolls = {
  readonly note: (gateway: string, deployed: Deployed) => void;
  /** A further look brings a gateway on. */
  readonly isUnderWay: () => boolean;
};

export const createRolls = (): Rolls => {
  const rolling = new Set<string>();
  return {
    note: (gateway, { due }) => {
      if (due > 0) rolling.add(gateway);
      else rolling.delete(gateway);
    },
    isUnderWay: () => rolling.size > 0,
  };
};
