import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { Scripts } from "../core/manifests.ts";

/** The shell scripts that run in a gateway's pod, from the folder `gateway` beside this one. Throws when it is missing. */
export const loadScripts = (): Scripts => {
  const folder = new URL("../gateway/", import.meta.url);
  const names = readdirSync(folder)
    .filter((name) => name.endsWith(".sh"))
    .sort();
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, folder), "utf8")]));
  return { files, hash: createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16) };
};
