// Things that a node on a machine of its own could leave behind on this one.
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";

const linesWith = (text: string, needle: string): readonly string[] =>
  text.split("\n").filter((line) => line.includes(needle));

/** Folders, cgroups, mounts and processes of a node, by name. */
export const leftovers = (): readonly string[] => [
  ...globSync("/tmp/flowgen-test-node-*"),
  ...globSync("/sys/fs/cgroup/*/flowgen-node-test"),
  ...linesWith(readFileSync("/proc/mounts", "utf8"), "flowgen-test-node"),
  ...linesWith(spawnSync("ps", ["-Aww", "-o", "args="], { encoding: "utf8" }).stdout, "/tmp/flowgen-test-node"),
];

/** The settings that a kubelet changes when it starts. */
export const machineSettings = (): readonly string[] =>
  ["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys"].map(
    (name) => `${name} ${readFileSync(`/proc/sys/${name}`, "utf8").trim()}`,
  );
