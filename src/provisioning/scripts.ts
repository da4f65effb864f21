import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { Scripts } from "../core/gateway/manifests.ts";
import { gatewayScripts } from "../files.ts";

/** The shell scripts that run in a gateway's pod. Throws when their folder is missing. */
export const loadScripts = (): Scripts => {
  const names = readdirSync(gatewayScripts)
    .filter((name) => name.endsWith(".sh"))
    .sort();
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, gatewayScripts), "utf8")]));
  return { files, hash: createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16) };
};
