export type Level = "ok" | "warning" | "error" | "unseen";

/**
 * `says`: the fault. `fix`: its remedy. `run`: a command that mends it or shows more. NAMESPACE, NAME and KEY stand for
 * the broken object, and WEBHOOK for the webhook's own Deployment.
 */
export type CheckText = {
  readonly level: Exclude<Level, "ok">;
  readonly says: string;
  readonly fix: string;
  readonly run?: string;
};
