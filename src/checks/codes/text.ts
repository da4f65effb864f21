export type Level = "ok" | "warning" | "error" | "unseen";

/** `says`: the fault. `fix`: its remedy. */
export type CheckText = { readonly level: Exclude<Level, "ok">; readonly says: string; readonly fix: string };
