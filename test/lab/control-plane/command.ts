// A command of the program as a process of its own, by a user's kubeconfig.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { MAIN, plainEnv, unhooked } from "../../program.ts";

export type CommandEnd = { readonly code: number | null; readonly out: string; readonly err: string };

/** Runs it to its end. `kubeconfig`: the path of the user's. */
export const runCommand = async (args: readonly string[], kubeconfig: string): Promise<CommandEnd> => {
  const child = spawn(...unhooked(process.execPath, MAIN, ...args), {
    env: { ...plainEnv(), KUBECONFIG: kubeconfig },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close") as Promise<[number | null]>;
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, out, err };
};
