// kubectl as a function.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

export type Result = { readonly code: number | null; readonly stdout: string; readonly stderr: string };
export type Kubectl = (
  args: readonly string[],
  options?: { readonly input?: string; readonly env?: NodeJS.ProcessEnv },
) => Promise<Result>;

/** Returns a function that runs kubectl with this kubeconfig; kubectl's own files go to `home`. */
export function kubectlWith(program: string, kubeconfig: string, home: string): Kubectl {
  const env = { PATH: process.env["PATH"], HOME: home, KUBECONFIG: kubeconfig };
  return async (args, options = {}) => {
    const child = spawn(program, args, { env: { ...env, ...options.env } });
    child.stdin.on("error", () => undefined); // it ended without reading all of its input
    child.stdin.end(options.input ?? "");
    const ended = once(child, "close") as Promise<[number | null]>;
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { code, stdout, stderr };
  };
}
