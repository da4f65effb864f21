import js from "@eslint/js";
import tseslint from "typescript-eslint";

// Imports go one way: commands → checks, server → admit → provisioning, certificates, manifests → cluster → core. Each entry says what
// its folder may not import.
const io = [
  "node:*",
  "fastify",
  "pino",
  "prom-client",
  "close-with-grace",
  "@kubernetes/client-node",
  "@kubernetes/client-node/*",
];
const client = ["@kubernetes/client-node", "@kubernetes/client-node/*"];
const aboveCluster = [
  "provisioning/",
  "certificates/",
  "manifests/",
  "emulator/",
  "admit\\.ts$",
  "server/",
  "commands/",
  "main\\.ts$",
  "function\\.ts$",
];
const aboveCore = ["cluster/", ...aboveCluster];
const aboveAdmit = ["emulator/", "server/", "commands/", "main\\.ts$", "function\\.ts$"];
/** The rooms between admit and cluster: none imports another. */
const room = (name) => ["provisioning/", "certificates/", "manifests/"].filter((other) => other !== `${name}/`);
/** Certificates: decided here, without I/O; the rest of the room performs. Reading a certificate is computing, as reading JSON is. */
const decidesCertificates = ["judgement", "reasons", "secret", "step"].map((name) => `src/certificates/${name}.ts`);
const boundary = (files, names, folders, ignores = []) => ({
  files,
  ignores,
  rules: {
    "@typescript-eslint/no-restricted-imports": [
      "error",
      {
        patterns: [
          { group: names, message: "This layer has no I/O and no client (types only).", allowTypeImports: true },
          ...(folders.length > 0
            ? [{ regex: `(^|/)(${folders.join("|")})`, message: "Imports go one way: see ARCHITECTURE.md." }]
            : []),
        ],
      },
    ],
  },
});

export default tseslint.config(
  { ignores: ["dist", "release", ".cache", ".tap", "node_modules", "test/**/*.cjs"] },
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/consistent-type-definitions": ["error", "type"],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "no-restricted-syntax": [
        "error",
        { selector: "ExportAllDeclaration", message: "No barrels: import from the file that holds it." },
      ],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-control-regex": "off",
    },
  },
  boundary(["src/core/**"], io, aboveCore, ["src/core/env/places/**"]),
  // Text in, places out: it knows no target, no pod and no gateway.
  boundary(["src/core/env/places/**"], io, ["\\.\\./"]),
  boundary(decidesCertificates, io, ["admit\\.ts$", ...aboveAdmit, ...room("certificates")]),
  boundary(
    ["src/certificates/x509.ts"],
    [...io, "!node:crypto"],
    ["admit\\.ts$", ...aboveAdmit, ...room("certificates")],
  ),
  boundary(
    ["src/certificates/**"],
    client,
    ["admit\\.ts$", ...aboveAdmit, ...room("certificates")],
    [...decidesCertificates, "src/certificates/x509.ts"],
  ),
  boundary(["src/provisioning/**"], client, ["admit\\.ts$", ...aboveAdmit, ...room("provisioning")]),
  boundary(["src/manifests/**"], io, ["cluster/", "admit\\.ts$", ...aboveAdmit, ...room("manifests")]),
  boundary(["src/cluster/**"], client, aboveCluster, ["src/cluster/kubeconfig.ts"]),
  boundary(
    ["src/emulator/**"],
    client,
    aboveCluster.filter((folder) => folder !== "emulator/"),
  ),
  boundary(["src/admit.ts"], client, aboveAdmit),
  boundary(["src/checks/**"], io, ["server/", "emulator/", "commands/", "admit\\.ts$", "main\\.ts$", "function\\.ts$"]),
  boundary(["src/server/**"], client, ["emulator/", "commands/", "main\\.ts$", "function\\.ts$"]),
  boundary(["src/commands/**", "src/main.ts"], client, []),
  // tap waits for a subtest itself, and an async one turns a throw into a failure.
  {
    files: ["test/**"],
    rules: { "@typescript-eslint/no-floating-promises": "off", "@typescript-eslint/require-await": "off" },
  },
  { files: ["src/**"], rules: { "max-lines": ["error", 200] } },
  { files: ["**/*.js"], extends: [tseslint.configs.disableTypeChecked] },
);
