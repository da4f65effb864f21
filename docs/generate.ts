/** `npm run docs`: writes what is made from the code. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { generated } from "./generated.ts";

for (const [name, text] of Object.entries(await generated())) {
  const path = join(import.meta.dirname, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
