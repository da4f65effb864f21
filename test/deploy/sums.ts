// The hashes of deploy/ at the last rendering of deploy/kustomize from the chart: a stale file is found without Helm.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../program.ts";

export const KUSTOMIZE = "deploy/kustomize";
/** Names every file that goes in or comes out with its hash, as sha256sum writes and checks it. */
export const SUMS = join(KUSTOMIZE, "rendered.sha256");

/** The hashes of the chart's files and of deploy/kustomize's, as they are now. */
export const sums = (): string => {
  const paths = ["deploy/grafana", "deploy/helm", KUSTOMIZE].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)),
  );
  return paths
    .filter((path) => path !== SUMS)
    .sort()
    .map(
      (path) =>
        `${createHash("sha256")
          .update(readFileSync(join(root, path)))
          .digest("hex")}  ${path}\n`,
    )
    .join("");
};
