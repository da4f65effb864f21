export type Level = "ok" | "warning" | "error" | "unseen";

/**
 * `says`: the fault. `fix`: its remedy. `run`: a command that mends it or shows more, with NAMESPACE, NAME and KEY in
 * place of what the finding names, and WEBHOOK in place of the webhook's own Deployment.
 */
export type CheckText = {
  readonly level: Exclude<Level, "ok">;
  readonly says: string;
  readonly fix: string;
  readonly run?: string;
};
