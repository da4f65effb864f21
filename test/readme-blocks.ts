/** The commands of a page that says how to use the program, and who runs each of them. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, unhooked } from "./program.ts";

/** A fenced block: its language, its text, and the page's line where the text begins. */
export type Block = { readonly language: string; readonly text: string; readonly line: number };

export const readPage = (name: string): string => readFileSync(join(root, name), "utf8");

export const blocks = (page: string): readonly Block[] =>
  [...page.matchAll(/^ *```(.*)\n([^]*?)^ *```$/gm)].map(({ 1: language = "", 2: text = "", index }) => ({
    language,
    text,
    line: page.slice(0, index).split("\n").length + 1,
  }));

/** One command for the shell, and the exit code in the comment beside it (0 without one). */
export type BlockCommand = { readonly text: string; readonly code: number; readonly runBy: Runner };
/** `gate`: a line of .ci/run; `node`: test/readme.test.ts; `cluster`: test/deploy/readme.test.ts. */
export type Runner = "gate" | "node" | "cluster";

/** Throws at a command that none of the tests runs. */
const runnerOf = (command: string): Runner => {
  if (/^npm (ci|test)$/.test(command)) return "gate";
  if (/^npm run /.test(command)) return "node";
  if (/^(helm|kubectl) /.test(command)) return "cluster";
  throw new Error(`no test runs this command: ${command}`);
};

/** The commands of a `sh` block: a line each, or several in a line with `&&` between them. */
export const commandsOf = ({ text }: Block): readonly BlockCommand[] =>
  text
    .replaceAll("\\\n", " ")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.trim().startsWith("#"))
    .flatMap((line) => {
      const [, all = "", comment = ""] = /^(.*?)(?:\s+#\s(.*))?$/.exec(line) ?? [];
      const code = Number(/^exit code (\d+)/.exec(comment)?.[1] ?? 0);
      return all.split(" && ").map((part) => ({ text: part.trim(), code, runBy: runnerOf(part.trim()) }));
    });

export type BlockEnd = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs a command as it stands there, in a shell, in the project's folder. */
export const runBlock = ({ text }: BlockCommand, env: NodeJS.ProcessEnv): Promise<BlockEnd> =>
  new Promise((resolve) => {
    execFile(...unhooked("sh", "-c", text), { cwd: root, env, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });
