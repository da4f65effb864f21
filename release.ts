/**
 * `npm run release [-- FOLDER]`: the files that a release publishes, in release/. They are the program as an npm package
 * that needs no other (`npm publish`), and the Helm chart (`helm push` to an OCI registry). The bill of materials and
 * SHA256SUMS of all are beside them. Needs helm in the PATH. The image is the
 * Dockerfile's.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = import.meta.dirname;
const out = resolve(process.argv[2] ?? join(root, "release"));
const run = (command: string, ...args: readonly string[]): void => {
  execFileSync(command, args, { stdio: ["ignore", "ignore", "inherit"] });
};

/** The package of the name that is typed: `npx flowgen-gateway`. kubectl finds `kubectl-flowgen_gateway` as `kubectl flowgen-gateway`. */
const manifest = (): object => {
  const { version, description, license, engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly [field: string]: unknown;
  };
  const main = "dist/main.js";
  const bin = { "flowgen-gateway": main, "kubectl-flowgen_gateway": main };
  return { name: "flowgen-gateway", version, description, license, type: "module", bin, engines };
};

const work = mkdtempSync(join(tmpdir(), "flowgen-gateway-release-"));
try {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  run(process.execPath, join(root, "build.ts"), join(work, "dist"));
  chmodSync(join(work, "dist/main.js"), 0o755);
  for (const name of ["README.md", "LICENSE", "examples"])
    cpSync(join(root, name), join(work, name), { recursive: true });
  writeFileSync(join(work, "package.json"), `${JSON.stringify(manifest(), undefined, 2)}\n`);
  run("npm", "pack", work, "--silent", "--pack-destination", out);
  run("helm", "package", join(root, "deploy/helm/flowgen-gateway-webhook"), "--destination", out);
  cpSync(join(work, "dist/sbom.cdx.json"), join(out, "sbom.cdx.json"));
  const sums = readdirSync(out)
    .sort()
    .map(
      (name) =>
        `${createHash("sha256")
          .update(readFileSync(join(out, name)))
          .digest("hex")}  ${name}\n`,
    );
  writeFileSync(join(out, "SHA256SUMS"), sums.join(""));
} finally {
  rmSync(work, { recursive: true });
}
