/** One address in two networks: each client reaches the server that the annotation means, at every admission. */
import t from "tap";
import { admit } from "../src/admit.ts";
import { createMemoryCluster } from "../src/emulator/memory.ts";
import { createProvisioner } from "../src/provisioning/provisioner.ts";
import type { Pod } from "../src/core/pod.ts";
import { configOf, patched, podOf, scripts } from "./making.ts";

const tunnels = ["london", "paris"].map((name) => `{name: ${name}, secretName: ${name}, allowedTargets: [10.0.0.0/8]}`);
const config = configOf(`gateways: [{namespace: g, tunnels: [${tunnels.join(", ")}]}]`);

const entry = (tunnel: string, more = "", port = 1433): string =>
  `- {name: ${tunnel}, targetHost: 10.0.0.5, targetPort: ${port}, tunnel: ${tunnel}${more}}\n`;

/** Admits a pod, then the result once more; the env by name, and the server of each Service. */
const admitted = async (targets: string, env: Readonly<Record<string, string>>) => {
  const provision = createProvisioner(createMemoryCluster(), { scripts });
  const { signal } = new AbortController();
  const send = (pod: Pod) =>
    admit({ pod, namespace: "team-a", dryRun: false, signal: () => signal }, { config, provision, version: "1.2.3" });
  const pod = podOf(targets, env);
  const first = await send(pod);
  if (first.outcome !== "inject") throw new Error(JSON.stringify(first));
  const after = patched(pod, first.operations);
  const { targets: given } = JSON.parse(after.metadata.annotations?.["flowgen.io/gateway-status"] ?? "") as {
    targets: Record<string, { address: string }>;
  };
  const hostOf = (name: string): string => (given[name]?.address ?? "").replace(/:\d+$/, "");
  const value = (name: string): string | undefined =>
    after.spec.containers[0]?.env?.find((each) => each.name === name)?.value;
  return { value, london: hostOf("london"), paris: hostOf("paris"), first, again: await send(after) };
};

for (const [title, targets] of [
  ["the named one first", entry("london", ", hostEnv: LONDON") + entry("paris")],
  ["the named one last", entry("paris") + entry("london", ", hostEnv: LONDON")],
] as const) {
  t.test(`an env that holds the address means the target without hostEnv: ${title}`, async (t) => {
    const { value, london, paris, again } = await admitted(targets, { LONDON: "x", URL: "mssql://10.0.0.5:1433/x" });
    t.not(london, paris);
    t.equal(value("LONDON"), london);
    t.equal(value("URL"), `mssql://${paris}:1433/x`);
    t.match(again, { outcome: "skip", reason: "unchanged" }, "a second admission");
  });
}

t.test("where the annotation names env for both, an env that holds the address is left and named", async (t) => {
  const targets = entry("london", ", hostEnv: LONDON") + entry("paris", ", hostEnv: PARIS");
  const { value, london, paris, first, again } = await admitted(targets, { URL: "mssql://10.0.0.5:1433/x" });
  t.equal(value("LONDON"), london);
  t.equal(value("PARIS"), paris);
  t.equal(value("URL"), "mssql://10.0.0.5:1433/x");
  t.match(first.warnings, ["URL: holds 10.0.0.5, whose targets have several addresses: name hostEnv"]);
  t.match(again, { outcome: "skip", reason: "unchanged" }, "a second admission");
});

t.test("a port that one of the two has says which is meant", async (t) => {
  const targets = entry("london", ", hostEnv: LONDON") + entry("paris", ", hostEnv: PARIS", 5432);
  const { value, london, paris } = await admitted(targets, { A: "10.0.0.5:1433", B: "10.0.0.5:5432" });
  t.equal(value("A"), `${london}:1433`);
  t.equal(value("B"), `${paris}:5432`);
});
