// The commands that `check` prints, run as they stand on installations by Helm and by kubectl: each mends its finding.
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { Finding } from "../../src/checks/finding.ts";
import { runCommand } from "../lab/control-plane/command.ts";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";
import { RELEASE } from "../lab/control-plane/helm.ts";
import { kubectl } from "../lab/control-plane/webhook.ts";
import { findPrograms } from "../lab/control-plane/programs.ts";
import { root } from "../program.ts";
import { runBlock } from "../readme-blocks.ts";

const AT = `--namespace ${RELEASE}`;
const INSTALL = {
  helm: `helm install ${RELEASE} deploy/helm/${RELEASE} ${AT} --create-namespace --set config.mode=enforce`,
  kubectl: "kubectl apply -k deploy/kustomize/base",
};

const GATEWAY =
  "{name: flowgen-wireguard-gateway, namespace: flowgen-gateway, tunnels: [{name: wg0, secretName: wireguard-client-a, allowedTargets: [10.0.0.0/8]}]}";
/** Grants a network: in the ConfigMap, or in the values of a release, which have no gateways yet. */
const EDITOR = `#!/bin/sh
sed -i 's/allowedTargets: \\[\\].*/allowedTargets: [10.0.0.0\\/8]/' "$1"
grep -q allowedTargets "$1" || sed -i 's|^config:|config:\\n  gateways: [${GATEWAY}]|' "$1"
`;

/** A cluster with an installation, and a user of it whose editor is a script. */
const startAdmin = async (t: Test, install: string) => {
  const controlPlane = await startControlPlane({ controllerManager: false });
  t.teardown(controlPlane.stop);
  const bin = join(controlPlane.folder, "path");
  await mkdir(bin);
  const programs = await findPrograms(["helm"]);
  await symlink(join(root, "deploy"), join(controlPlane.folder, "deploy"));
  for (const program of ["helm", "kubectl"]) await symlink(join(programs, program), join(bin, program));
  const editor = join(bin, "an-editor");
  await writeFile(editor, EDITOR);
  await chmod(editor, 0o755);
  const env = {
    PATH: `${bin}:${process.env["PATH"] ?? ""}`,
    HOME: controlPlane.folder,
    EDITOR: editor,
    KUBECONFIG: controlPlane.kubeconfig,
  };
  const run = async (text: string): Promise<void> => {
    const block = { text: `cd ${controlPlane.folder} && ${text}`, code: 0, runBy: "cluster" } as const;
    const { code, stderr } = await runBlock(block, env);
    t.equal(code, 0, `${text}: ${stderr}`);
  };
  await run(install);
  // The registration leaves kube-system out, so that no trial pod waits for a webhook that does not run.
  const find = async (code: string): Promise<Finding | undefined> => {
    const { out } = await runCommand(["check", "-n", "kube-system", "-o", "json"], controlPlane.kubeconfig);
    return (JSON.parse(out) as { readonly findings: readonly Finding[] }).findings.find((each) => each.code === code);
  };
  const mends = async (code: string, command: RegExp): Promise<void> => {
    const { run: text = "" } = (await find(code)) ?? {};
    t.match(text, command);
    await run(text.replace("YOUR-OVERLAY", "deploy/kustomize/base"));
    t.equal(await find(code), undefined, `${code} is mended by ${text}`);
  };
  return { mends, kubectl: (...args: readonly string[]) => kubectl(controlPlane, args) };
};

for (const [by, install] of Object.entries(INSTALL))
  t.test(`commands of an installation by ${by} mend what check finds`, async (t) => {
    const { mends, kubectl: ask } = await startAdmin(t, install);
    const isHelm = by === "helm";
    await ask("delete", "validatingadmissionpolicybinding", `${RELEASE}-marks`);
    await mends("policy-missing", isHelm ? /^helm upgrade/ : /^kubectl apply -k YOUR-OVERLAY$/);
    const open = '[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]';
    await ask("patch", "mutatingwebhookconfiguration", RELEASE, "--type=json", `--patch=${open}`);
    await mends("fails-open", isHelm ? /^helm upgrade .*=Fail$/ : /^kubectl patch mutatingwebhookconfiguration/);
    await mends("tunnel-allows-nothing", isHelm ? /^helm get values/ : /^kubectl edit configmap \S+-config-\w+ /);
  });
