import js from "@eslint/js";
import tseslint from "typescript-eslint";

// Imports go one way: commands → server → admit → cluster → core. Each entry says what its folder may not import.
const io = ["node:*", "fastify", "pino", "prom-client", "close-with-grace", "@kubernetes/client-node"];
const client = ["@kubernetes/client-node"];
const aboveCore = ["cluster/", "admit\\.ts$", "server/", "commands/", "main\\.ts$"];
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
  { ignores: ["dist", ".cache", ".tap", "node_modules", "test/**/*.cjs"] },
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
  boundary(["src/core/**"], io, aboveCore, ["src/core/x509.ts"]),
  // Reading a certificate is computing, as reading JSON is.
  boundary(["src/core/x509.ts"], [...io, "!node:crypto"], aboveCore),
  boundary(
    ["src/cluster/**"],
    client,
    ["admit\\.ts$", "server/", "commands/", "main\\.ts$"],
    ["src/cluster/kubernetes.ts"],
  ),
  boundary(["src/admit.ts"], client, ["server/", "commands/", "main\\.ts$"]),
  boundary(["src/server/**"], client, ["commands/", "main\\.ts$"]),
  boundary(["src/commands/**", "src/main.ts"], client, []),
  // tap waits for a subtest itself, and an async one turns a throw into a failure.
  {
    files: ["test/**"],
    rules: { "@typescript-eslint/no-floating-promises": "off", "@typescript-eslint/require-await": "off" },
  },
  { files: ["**/*.js"], extends: [tseslint.configs.disableTypeChecked] },
);
