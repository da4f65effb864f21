// `npm run render`: writes what is made from the chart.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { renderFiles, renderKustomize } from "./base.ts";
import { findHelm } from "../lab/control-plane/helm.ts";
import { sums, SUMS } from "./sums.ts";
import { root } from "../program.ts";

const home = await mkdtemp(join(tmpdir(), "flowgen-render-"));
try {
  for (const [path, content] of renderFiles()) await writeFile(join(root, path), content);
  for (const [path, content] of await renderKustomize(await findHelm(home))) await writeFile(join(root, path), content);
  await writeFile(join(root, SUMS), sums());
} finally {
  await rm(home, { recursive: true, force: true });
}
