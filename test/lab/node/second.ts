// A second node beside the first one, on the same machine. It has a kubelet, containerd and kube-proxy in namespaces of
// their own, with an address on the same LAN. It can be killed as a whole.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { keepProcesses } from "../control-plane/processes.ts";
import { findNodePrograms } from "../control-plane/programs.ts";
import { waitUntil } from "../control-plane/readiness.ts";
import * as configuration from "./configuration.ts";
import { nodeCondition, type Node } from "./node.ts";

export type SecondNode = {
  /** Its name in the cluster. */
  readonly name: string;
  /** Kills all of its processes at the same moment. */
  readonly kill: () => Promise<void>;
  readonly stop: () => Promise<void>;
};
type Program = "containerd" | "kubelet" | "kube-proxy";

const PLACE: configuration.NodeSite = {
  name: "node-b",
  address: "172.30.0.3",
  pods: "10.244.1.0/24",
  cgroup: "/flowgen-node-test/node-b",
};

/** Starts it and returns when it is ready for pods, with the first one's images. */
export const startSecondNode = async ({ controlPlane, folder: first }: Node): Promise<SecondNode> => {
  const { FLOWGEN_NODE_FOLDER: machine = "", FLOWGEN_NODE_IMAGES: images = "" } = process.env;
  const { name, address } = PLACE;
  const folder = join(machine, name);
  await mkdir(folder);
  const processes = await keepProcesses<Program>(folder);
  const namespaces = ["--net", "--mount", "--pid", "--uts", "--ipc"];
  const script = join(import.meta.dirname, "second.sh");
  const holder = spawn(
    "setpriv",
    ["--pdeathsig", "KILL", "unshare", ...namespaces, "--fork", "--kill-child", "--mount-proc", script, folder, name],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [said] = (await once(holder.stdout, "data")) as [Buffer];
  if (said.toString().trim() !== "ready") throw new Error(`${script}: ${said.toString()}`);
  const pid = execFileSync("pgrep", ["-P", String(holder.pid)], { encoding: "utf8" }).trim();
  const ip = (...args: readonly string[]): void => void execFileSync("ip", args);
  const inside: readonly string[] = ["--target", pid, ...namespaces, "--wd=/"];
  const run = (...command: readonly string[]): void => void execFileSync("nsenter", [...inside, ...command]);

  ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", pid);
  ip("link", "set", name, "master", "lan0", "up");
  ip("route", "add", PLACE.pods, "via", address, "onlink", "dev", "lan0");
  run("ip", "addr", "add", `${address}/24`, "dev", "eth0");
  run("ip", "link", "set", "eth0", "up");
  run("ip", "route", "add", configuration.FIRST.pods, "via", configuration.FIRST.address);
  run("ip", "route", "add", "10.96.0.0/16", "dev", "eth0");

  const file = async (what: string, content: string): Promise<string> => {
    await writeFile(join(folder, what), content);
    return join(folder, what);
  };
  const paths = {
    authority: join(first, "ca.crt"),
    kubeProxy: await controlPlane.signIn(
      `kube-proxy-${name}`,
      { name: "system:kube-proxy" },
      configuration.FIRST.address,
    ),
    resolvConf: join(first, "resolv.conf"),
  };
  const kubelet = await controlPlane.signIn(
    `kubelet-${name}`,
    { name: `system:node:${name}`, group: "system:nodes" },
    configuration.FIRST.address,
  );
  const programs = await findNodePrograms();
  const start = (program: Program, path: string, ...flags: readonly string[]): Promise<void> =>
    processes.start(program, "nsenter", [...inside, path, ...flags]);
  await writeFile(join(folder, "etc/cni/net.d/10-node.conflist"), configuration.network(PLACE));
  await start("containerd", "containerd", "--config", await file("containerd.toml", configuration.containerd()));
  const ctr = (...args: readonly string[]): void => run("ctr", "-n", "k8s.io", ...args);
  const answers = async (): Promise<boolean> => {
    try {
      ctr("version");
      return true;
    } catch {
      return false;
    }
  };
  await waitUntil("containerd of the second node", answers, processes.check);
  for (const archive of images.split(":")) ctr("images", "import", archive);
  await start(
    "kubelet",
    join(programs, "kubelet"),
    `--config=${await file("kubelet.yaml", configuration.kubelet(paths, PLACE))}`,
    `--kubeconfig=${kubelet}`,
    `--hostname-override=${name}`,
    `--node-ip=${address}`,
  );
  const proxy = await file("kube-proxy.yaml", configuration.kubeProxy(paths, PLACE));
  await start("kube-proxy", join(programs, "kube-proxy"), `--config=${proxy}`);
  await waitUntil("the second node", async () => (await nodeCondition(controlPlane, name)) === "True", processes.check);
  const kill = async (): Promise<void> => {
    const gone = holder.exitCode === null && holder.signalCode === null ? once(holder, "exit") : undefined;
    holder.kill("SIGKILL"); // and unshare's child, its PID 1, with it
    await gone;
  };
  return {
    name,
    kill,
    stop: async () => {
      await kill();
      await processes.stop();
    },
  };
};
