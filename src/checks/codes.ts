import { gatewayCodes } from "./codes/gateway.ts";
import { installationCodes } from "./codes/installation.ts";
import { workloadCodes } from "./codes/workload.ts";

/**
 * The findings of `check`: one code, one sentence, one fix. `check`, `explain` and docs/findings.md read this table; a
 * finding adds the object and its state. Codes of refusals (src/core/reasons.ts) are findings too, and stand there.
 */
export const checkCodes = { ...installationCodes, ...gatewayCodes, ...workloadCodes };
export type CheckCode = keyof typeof checkCodes;
