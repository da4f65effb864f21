export type Level = "ok" | "warning" | "error" | "unseen";

/** Commands whose form depends on the installation (commands.ts). */
export const commands = [
  ...(["APPLY_CHART", "EDIT_CONFIG", "SET_ENFORCE"] as const),
  ...(["FAIL_CLOSED", "RESTART_WEBHOOK", "WEBHOOK_LOGS"] as const),
] as const;
export type Command = (typeof commands)[number];

/**
 * `says`: the fault. `fix`: its remedy. `run`: a command that mends it or shows more, or the name of one. NAMESPACE,
 * NAME and KEY stand for the broken object.
 */
export type CheckText = {
  readonly level: Exclude<Level, "ok">;
  readonly says: string;
  readonly fix: string;
  readonly run?: string;
};
