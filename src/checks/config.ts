/** The admin's config, as far as it can be judged without a cluster. */
import type { Config } from "../core/config/config.ts";
import { type Finding, findingsOf, NO_OBJECT } from "./finding.ts";

const say = findingsOf("config");

/** Findings of a config that is valid. `name`: the file's, or the ConfigMap's. */
export const configFindings = (config: Config, name: string): readonly Finding[] => {
  const faults = config.gateways.flatMap((gateway, at) =>
    gateway.tunnels.flatMap((tunnel, tunnelAt) => {
      const object = `${name}: gateway ${gateway.name}, tunnel ${tunnel.name}`;
      const isEmpty =
        [tunnel, ...tunnel.rules].every(({ allowedTargets }) => allowedTargets.length === 0) &&
        tunnel.portForwards.length === 0;
      const isAll = [tunnel, ...tunnel.rules]
        .flatMap((each) => each.allowedTargets)
        .some((allowed) => allowed.kind === "network" && allowed.network[1] === 0);
      const field = `gateways[${at}].tunnels[${tunnelAt}]`;
      return [
        ...(isEmpty ? [say.fault("tunnel-allows-nothing", object, field, NO_OBJECT)] : []),
        ...(isAll ? [say.fault("tunnel-allows-all", object, field, NO_OBJECT)] : []),
      ];
    }),
  );
  const count = config.gateways.length;
  return [say.ok(name, `valid: mode ${config.mode}, ${count} ${count === 1 ? "gateway" : "gateways"}`), ...faults];
};

/** Findings of a config that cannot be used: one a problem, each with its path. */
export const invalidConfig = (problems: readonly string[], name: string): readonly Finding[] =>
  problems.map((problem) => say.fault("config-invalid", name, problem, NO_OBJECT));
