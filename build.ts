/**
 * `npm run build [-- FOLDER]`: the program as it ships, in dist: `main.js`, `function.js` and the chunks that they load on demand, the
 * gateway's scripts beside them, and the licences of what is bundled. It needs no node_modules. The same sources give the same bytes.
 *
 * Chunks, and not one file: a command loads only what it needs, and the Kubernetes client, which is larger than all the rest, is
 * not parsed before there is a cluster to connect to (`npm run bench:start`). Not minified and without source maps: a stack in a log names
 * lines that can be read where they run.
 */
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";

const root = import.meta.dirname;
const out = resolve(process.argv[2] ?? join(root, "dist"));
/** Bundled CommonJS asks for Node's own modules by `require`, which an ES module does not have. */
const REQUIRE = `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`;

/** The folder of each npm package that a bundled file comes from, sorted. */
const packagesOf = (inputs: readonly string[]): readonly string[] => {
  const folders = inputs.map((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  return [...new Set(folders.filter((folder) => folder !== undefined))].sort();
};

/** What a package's licence asks for: its text goes with every copy. */
const licenceOf = (folder: string): string => {
  const path = join(root, folder);
  const { name, version, license } = JSON.parse(readFileSync(join(path, "package.json"), "utf8")) as Record<
    string,
    string
  >;
  const texts = readdirSync(path)
    .filter((file) => /^(licen[cs]e|notice)/i.test(file))
    .sort()
    .map((file) => readFileSync(join(path, file), "utf8").trim());
  return [`${name} ${version} (${license})`, ...texts].join("\n\n");
};

rmSync(out, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ["src/main.ts", "src/function.ts"],
  outdir: out,
  bundle: true,
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node22.19",
  banner: { js: REQUIRE },
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});
cpSync(join(root, "src/gateway"), join(out, "gateway"), { recursive: true });
writeFileSync(join(out, "package.json"), `{ "type": "module" }\n`);
const licences = packagesOf(Object.keys(metafile.inputs)).map(licenceOf);
writeFileSync(join(out, "third-party-licences.txt"), `${licences.join(`\n\n${"-".repeat(80)}\n\n`)}\n`);
