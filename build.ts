/**
 * `npm run build [-- FOLDER]`: the program as it ships, in dist. These are `main.js`, `function.js`, the scripts that
 * they load on demand, and the gateway's scripts. Beside them are the licences of all packages in the bundle and the
 * bill of materials (sbom.cdx.json). It needs no node_modules. The same sources give the same bytes.
 *
 * The scripts are many, because a command loads only the parts that it needs. The Kubernetes client is larger than all
 * the rest. It is not parsed before there is a cluster to connect to (`npm run bench:start`).
 */
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { bundleProgram } from "./bundle.ts";

const root = import.meta.dirname;
const out = resolve(process.argv[2] ?? join(root, "dist"));
/** The folder of each npm package that a bundled file comes from, sorted. */
const packagesOf = (inputs: readonly string[]): readonly string[] => {
  const folders = inputs.map((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  return [...new Set(folders.filter((folder) => folder !== undefined))].sort();
};

/** A package's licence requires its text with every copy. */
const licenceOf = (folder: string): string => {
  const path = join(root, folder);
  const { name, version, license } = packageIn(folder);
  const texts = readdirSync(path)
    .filter((file) => /^(licen[cs]e|notice)/i.test(file))
    .sort()
    .map((file) => readFileSync(join(path, file), "utf8").trim());
  return [`${name} ${version} (${license})`, ...texts].join("\n\n");
};

type Package = { readonly name: string; readonly version: string; readonly license: string };
const packageIn = (folder: string): Package =>
  JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as Package;

const componentOf = ({ name, version, license }: Package, type: "application" | "library") => {
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  return { type, "bom-ref": purl, name, version, purl, licenses: [{ expression: license }] };
};

/** The bill of materials, CycloneDX 1.6: the packages of which the bundle holds code. No time and no random number: the same sources, the same bytes. */
const sbomOf = (folders: readonly string[]) => ({
  $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
  bomFormat: "CycloneDX",
  specVersion: "1.6",
  version: 1,
  metadata: { component: componentOf(packageIn("."), "application") },
  components: folders.map((folder) => componentOf(packageIn(folder), "library")),
});

rmSync(out, { recursive: true, force: true });
const sources = await bundleProgram(root, out);
cpSync(join(root, "src/gateway"), join(out, "gateway"), { recursive: true });
writeFileSync(join(out, "package.json"), `{ "type": "module" }\n`);
writeFileSync(join(out, "sbom.cdx.json"), `${JSON.stringify(sbomOf(packagesOf(sources)), undefined, 2)}\n`);
const licences = packagesOf(sources).map(licenceOf);
writeFileSync(join(out, "third-party-licences.txt"), `${licences.join(`\n\n${"-".repeat(80)}\n\n`)}\n`);
