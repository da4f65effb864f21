/** How sources become the files that ship: one place for the build and for what is measured against it (test/bench). */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import {
  build as esbuild,
  type BuildOptions,
  type BuildResult,
  type Metafile,
  type OutputFile,
  type Plugin,
  transform,
} from "esbuild";

/** How a file reads. */
const TEXT = {
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 160,
  target: "node22.19",
  legalComments: "none",
} as const;

/** Bundled CommonJS asks for Node's own modules by `require`, which an ES module does not have. */
const REQUIRE = `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`;

/**
 * Of client-node the program uses KubeConfig and its credentials (src/cluster/kubeconfig.ts). KubeConfig can also make clients of the whole
 * Kubernetes API. The program never asks for them. Their modules do nothing when they are imported, so they are left out.
 */
const clientNode: Plugin = {
  name: "client-node",
  setup: (build) => {
    build.onResolve({ filter: /^\./ }, async ({ path, importer, resolveDir, kind, pluginData }) => {
      if (pluginData === clientNode || !importer.includes("/@kubernetes/client-node/dist/")) return undefined;
      return {
        ...(await build.resolve(path, { importer, resolveDir, kind, pluginData: clientNode })),
        sideEffects: false,
      };
    });
  },
};
/** A package that the program never calls. `by`: the one package whose import of it is meant. */
type Uncalled = { readonly by?: string; readonly path: string; readonly exports: string };
const LEFT_OUT: readonly Uncalled[] = [
  // KubeConfig's way to undici's dispatchers; requests are made with Node's own agents.
  {
    path: "undici",
    exports: "export { LeftOut as Agent, LeftOut as ProxyAgent }; export const { fetch } = globalThis;",
  },
  // Fastify compiles JSON schemas with these; no route has one, and the app names compilers of its own (src/server/app.ts).
  { path: "@fastify/ajv-compiler", exports: "export { LeftOut as default };" },
  { path: "@fastify/fast-json-stringify-compiler", exports: "export { LeftOut as default };" },
  // The server speaks HTTP/1.1.
  { by: "fastify", path: "node:http2", exports: "export { LeftOut as createServer, LeftOut as createSecureServer };" },
  // Commands that are programs of their own.
  { by: "commander", path: "node:child_process", exports: "export { LeftOut as spawn };" },
  // The log is written by this thread.
  { by: "pino", path: "worker_threads", exports: "export const isMainThread = true;" },
  { by: "pino", path: "thread-stream", exports: "export { LeftOut as default };" },
  // Metrics are asked for, and not pushed.
  { by: "prom-client", path: "./lib/pushgateway", exports: "export { LeftOut as default };" },
];
const leftOut: Plugin = {
  name: "left-out",
  setup: (build) => {
    build.onResolve({ filter: /./ }, ({ path, importer }) => {
      const isIts = ({ by, path: its }: Uncalled): boolean =>
        path === its && (by === undefined || importer.includes(`/node_modules/${by}/`));
      return LEFT_OUT.some(isIts) ? { path, namespace: "left-out" } : undefined;
    });
    build.onLoad({ filter: /./, namespace: "left-out" }, ({ path }) => ({
      contents:
        `class LeftOut { constructor() { throw new Error("${path} is not part of the bundle (bundle.ts)"); } } ` +
        String(LEFT_OUT.find((each) => each.path === path)?.exports),
    }));
  },
};

/**
 * Node's own modules are asked for by `require`, and of their exports those that are named. An import of `node:http` reads all of its exports, which
 * loads the whole of fetch and WebSocket: a tenth of a start.
 */
export const builtins: Plugin = {
  name: "builtins",
  setup: (build) => {
    build.onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === "import-statement" ? { path, namespace: "builtin" } : { path, external: true },
    );
    build.onLoad({ filter: /./, namespace: "builtin" }, async ({ path }) => {
      const names = Object.keys((await import(path)) as object).filter((name) => name !== "default");
      const named = names.map((name) => `export const ${name} = /* @__PURE__ */ (() => all.${name})();`);
      return { contents: [`const all = require("${path}"); export default all;`, ...named].join("\n") };
    });
  },
};

/** The entry points of servers, and the connection to the API server that they load. */
const SERVERS = ["src/commands/serve/serve.ts", "src/commands/serve/function.ts", "src/cluster/kubernetes.ts"];
/** It has a server of its own: what it shares with them is not what other commands need. */
const DEMO = "src/commands/demo/demo.ts";

/**
 * Makes one chunk of all that servers share with other commands. esbuild makes a chunk for each set of entry points
 * that share a module. These were three dozen until the first answer, and to find and link them took a quarter of a start.
 * So each entry point that is loaded on demand imports all of these modules.
 */
const together = (root: string, { inputs, outputs }: Metafile): Plugin => {
  const reached = (from: readonly string[]): ReadonlySet<string> => {
    const paths = new Set(from);
    for (const path of paths)
      for (const { path: next, kind } of inputs[path]?.imports ?? []) if (kind !== "dynamic-import") paths.add(next);
    return paths;
  };
  const entries = Object.values(outputs).flatMap(({ entryPoint }) => entryPoint ?? []);
  const loaded = entries.filter((path) => path !== "src/commands/program/program.ts");
  const others = reached(loaded.filter((path) => path !== DEMO && !SERVERS.includes(path)));
  const shared = [...reached(SERVERS)].filter((path) => path.startsWith("src/") && others.has(path));
  const importAll = shared.map((path) => `import ${JSON.stringify(join(root, path))};`).join("");
  const isLoaded = new Set(loaded.map((path) => join(root, path)));
  return {
    name: "together",
    setup: (build) => {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) =>
        isLoaded.has(path) ? { contents: importAll + readFileSync(path, "utf8"), loader: "ts" } : undefined,
      );
    },
  };
};

/** Ends the program with a sentence where Node is older than package.json says: what is missing there fails without a reason. */
const oldNode = (): string => {
  const { engines } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as {
    readonly engines: { readonly node: string };
  };
  const [major = "", minor = ""] = engines.node.replace(">=", "").split(".");
  const version = `process.versions.node.split(".").map(Number)`;
  return (
    `{const[a,b]=${version};if(a<${major}||a===${major}&&b<${minor}){` +
    `console.error("flowgen-gateway: needs Node ${major}.${minor} or newer, and this is Node "+process.versions.node);process.exit(2)}}`
  );
};

/**
 * Bundles the entry points into `outdir`: a file each, and the chunks that they load on demand. White space goes and names stay, and no line
 * is long. So a stack in a log names functions, and its places can be read in the image.
 */
export const bundle = (
  root: string,
  outdir: string,
  entryPoints: readonly string[],
  plugins: readonly Plugin[],
  more: BuildOptions = {},
): Promise<BuildResult & { readonly metafile: Metafile }> =>
  esbuild({
    absWorkingDir: root,
    entryPoints: [...entryPoints],
    entryNames: "[name]",
    outdir,
    bundle: true,
    splitting: true,
    ...TEXT,
    platform: "node",
    format: "esm",
    banner: { js: `${oldNode()}\n${REQUIRE}` },
    plugins: [...plugins],
    logLevel: "warning",
    ...more,
    metafile: true,
  });

/** The program's two ways in: each is an ES module that loads a script. */
const ENTRIES: Readonly<Record<string, string>> = {
  "src/main.ts": "src/commands/program/program.ts",
  "src/function.ts": "src/commands/serve/function.ts",
};

/**
 * The program as it ships: CommonJS, of which V8 can keep what has run (src/scripts.ts). ES modules stay as they are
 * before they run. Returns the paths of all sources.
 */
export const bundleProgram = async (root: string, outdir: string): Promise<readonly string[]> => {
  const options: BuildOptions = { write: false, outExtension: { ".js": ".cjs" }, banner: {} };
  const plugins = [leftOut, builtins, clientNode];
  const { metafile: apart } = await bundle(root, outdir, Object.values(ENTRIES), plugins, options);
  const built = await bundle(root, outdir, Object.values(ENTRIES), [...plugins, together(root, apart)], options);
  const scripts = await Promise.all((built.outputFiles ?? []).map(scriptOf));
  const hash = createHash("sha256");
  mkdirSync(outdir, { recursive: true });
  for (const { path, code } of scripts.sort((a, b) => (a.path < b.path ? -1 : 1))) {
    writeFileSync(path, code);
    hash.update(code);
  }
  const loading = loadingScripts(root, built.metafile, hash.digest("hex").slice(0, 16));
  const { metafile } = await bundle(root, outdir, Object.keys(ENTRIES), [builtins, loading], {
    splitting: false,
  });
  return Object.keys({ ...built.metafile.inputs, ...metafile.inputs });
};

const scriptOf = async ({ path, text }: OutputFile): Promise<{ readonly path: string; readonly code: string }> => {
  const { code } = await transform(text, {
    ...TEXT,
    platform: "node",
    format: "cjs",
    supported: { "dynamic-import": false },
    define: { "import.meta.url": "__url" },
    banner: `"use strict";const __url=require("node:url").pathToFileURL(__filename).href;`,
  });
  return { path, code };
};

/** An import of a script becomes its loading. */
const loadingScripts = (root: string, { outputs }: Metafile, hash: string): Plugin => ({
  name: "loading-scripts",
  setup: (build) => {
    const scripts = Object.values(ENTRIES).map((source) => join(root, source));
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      if (!scripts.includes(path)) return undefined;
      const [output, { exports = [] } = {}] =
        Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === relative(root, path)) ?? [];
      const loader = JSON.stringify(join(root, "src/scripts.ts"));
      const made = `{folder:import.meta.dirname,hash:${JSON.stringify(hash)}}`;
      return {
        resolveDir: root,
        contents: `import{loadScript}from${loader};export const{${exports.join()}}=loadScript(${made},${JSON.stringify(basename(output ?? ""))});`,
      };
    });
  },
});
