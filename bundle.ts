/** How sources become the files that ship: one place for the build and for what is measured against it (test/bench). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build as esbuild, type BuildOptions, type Metafile, type Plugin } from "esbuild";

/** Bundled CommonJS asks for Node's own modules by `require`, which an ES module does not have. */
const REQUIRE = `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`;

/**
 * Of client-node the program uses KubeConfig and its credentials (src/cluster/kubeconfig.ts). KubeConfig can also make clients of the whole
 * Kubernetes API, which are never asked for; their modules do nothing when they are imported, and so they are left out.
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
/** Packages that the program never calls, each with what is imported of it, and why it is not called. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  // KubeConfig's way to undici's dispatchers; requests are made with Node's own agents.
  undici: "export { LeftOut as Agent, LeftOut as ProxyAgent }; export const { fetch } = globalThis;",
  // Fastify compiles JSON schemas with these; no route has one, and the app names compilers of its own (src/server/app.ts).
  "@fastify/ajv-compiler": "export { LeftOut as default };",
  "@fastify/fast-json-stringify-compiler": "export { LeftOut as default };",
};
const leftOut: Plugin = {
  name: "left-out",
  setup: (build) => {
    build.onResolve({ filter: /./ }, ({ path }) => (path in LEFT_OUT ? { path, namespace: "left-out" } : undefined));
    build.onLoad({ filter: /./, namespace: "left-out" }, ({ path }) => ({
      contents: `class LeftOut { constructor() { throw new Error("${path} is not part of the bundle (bundle.ts)"); } } ${LEFT_OUT[path] ?? ""}`,
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
const SERVERS = ["src/commands/serve/serve.ts", "src/function.ts", "src/cluster/kubernetes.ts"];
/** It has a server of its own: what it shares with them is not what other commands need. */
const DEMO = "src/commands/demo/demo.ts";

/**
 * Makes one chunk of all that servers share with other commands. esbuild makes a chunk for each set of entry points
 * that share a module: three dozen on the way to the first answer, and to find and link them took a quarter of a start.
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
  const loaded = entries.filter((path) => path !== "src/main.ts");
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
 * is long: a stack in a log names functions, and places that can be read where they run.
 */
export const bundle = async (
  root: string,
  outdir: string,
  entryPoints: readonly string[],
  plugins: readonly Plugin[] = [builtins, leftOut, clientNode],
): Promise<Metafile> => {
  const options = {
    absWorkingDir: root,
    entryPoints: [...entryPoints],
    outdir,
    bundle: true,
    splitting: true,
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
    platform: "node",
    format: "esm",
    target: "node22.19",
    banner: { js: `${oldNode()}\n${REQUIRE}` },
    legalComments: "none",
    plugins: [...plugins],
    metafile: true,
    logLevel: "warning",
  } satisfies BuildOptions;
  const { metafile } = await esbuild({ ...options, write: false });
  return (await esbuild({ ...options, plugins: [...plugins, together(root, metafile)] })).metafile;
};
