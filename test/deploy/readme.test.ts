// The commands for an admin, as the pages write them, each block in a shell on an empty cluster of its own: a real API server.
import { symlink, mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { startControlPlane } from "../cluster/control-plane.ts";
import { findPrograms } from "../cluster/programs.ts";
import { type Block, blocks, commandsOf, readPage, runCommand } from "../readme/blocks.ts";
import { connectTo } from "./api.ts";
import { RELEASE } from "./helm.ts";

const WEBHOOK = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${RELEASE}`;
const DEPLOYMENT = `/apis/apps/v1/namespaces/${RELEASE}/deployments/${RELEASE}`;

const PAGES = ["README.md", "deploy/function/README.md"];
const shellBlocks = PAGES.flatMap((page) =>
  blocks(readPage(page))
    .filter(({ language }) => language === "sh")
    .map((block): Block & { readonly page: string } => ({ ...block, page })),
);

for (const block of shellBlocks) {
  const commands = commandsOf(block);
  if (commands.every(({ runBy }) => runBy !== "cluster")) continue;
  t.test(`${block.page}, line ${block.line}: ${commands[0]?.text ?? ""}`, async (t) => {
    const controlPlane = await startControlPlane({ controllerManager: false });
    t.teardown(controlPlane.stop);
    const api = connectTo(controlPlane);
    t.teardown(api.close);
    const bin = join(controlPlane.folder, "path");
    await mkdir(bin);
    const programs = await findPrograms(["helm"]);
    for (const program of ["helm", "kubectl"]) await symlink(join(programs, program), join(bin, program));
    const env = {
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      HOME: controlPlane.folder,
      KUBECONFIG: controlPlane.kubeconfig,
    };
    for (const command of commands) {
      t.equal(command.runBy, "cluster", "no block mixes what has a cluster with what has none");
      const { code, stderr } = await runCommand(command, env);
      t.equal(code, command.code, `${command.text}: ${stderr}`);
      t.notMatch(stderr, /warning/i);
    }
    t.ok(await api.read(WEBHOOK), "the registration is there");
    t.equal((await api.read(DEPLOYMENT)) !== undefined, block.page === "README.md", "the Deployment, where pods serve");
    if (!commands.some(({ text }) => text.includes("tunnel-secret"))) return;
    t.ok(await api.read("/api/v1/namespaces/flowgen-gateway/secrets/wireguard-client-a"), "and the tunnel's Secret");
  });
}
