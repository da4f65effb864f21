/**
 * Cases to read as documentation: fixtures/admissions/*.yaml hold a pod and, below `---`, the webhook's answer. A run
 * with GOLDEN=write writes the answers anew; read the difference before you commit it.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import t from "tap";
import { parseAllDocuments, stringify } from "yaml";
import { admit } from "../src/admit.ts";
import { createMemoryCluster } from "../src/emulator/memory.ts";
import { createProvisioner } from "../src/provisioning/provisioner.ts";
import { type Admission, auditAnnotations } from "../src/core/admission.ts";
import type { Pod } from "../src/core/pod.ts";
import { configOf, scripts } from "./making.ts";

const config = configOf(readFileSync(new URL("fixtures/admissions-config.yaml", import.meta.url), "utf8"));
const folder = new URL("fixtures/admissions/", import.meta.url);

type Case = { readonly about: string; readonly namespace?: string; readonly pod: Pod };

const answer = (admission: Admission) => {
  const { outcome, reason, message, gateway, operations, warnings } = admission;
  const patch = operations.map((operation) => {
    const value = "value" in operation ? { value: operation.value } : {};
    return { op: operation.op, path: operation.path, ...value };
  });
  return JSON.parse(
    JSON.stringify({
      outcome,
      reason,
      message,
      gateway,
      patch,
      warnings,
      auditAnnotations: auditAnnotations(admission),
    }),
  ) as object;
};

for (const name of readdirSync(folder)) {
  const file = new URL(name, folder);
  const text = readFileSync(file, "utf8");
  const [input, expected] = parseAllDocuments(text).map((document) => document.toJS() as unknown);
  const { about, namespace = "team-a", pod } = input as Case;
  t.test(about, async (t) => {
    const provision = createProvisioner(createMemoryCluster(), { scripts });
    const { signal } = new AbortController();
    const admission = await admit(
      { pod, namespace, dryRun: false, signal: () => signal },
      { config, provision, version: "1.2.3" },
    );
    const got = answer(admission);
    if (process.env["GOLDEN"] === "write")
      writeFileSync(file, `${text.split(/^---$/m)[0]}---\n${stringify(got, { lineWidth: 0 })}`);
    else t.strictSame(got, expected);
    const patch = admission.operations.filter(({ path }) => !path.includes("/env"));
    t.notMatch(JSON.stringify({ ...got, patch }), /s3cret/, "no password but in env: the status has none either");
  });
}
