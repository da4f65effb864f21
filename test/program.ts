/** The program as a process of its own, with its log as it comes. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const root = join(import.meta.dirname, "..");
export const MAIN = join(root, "src/main.ts");

/** A line of the log. */
export type Line = Readonly<Record<string, unknown>>;
/** The fields of the line "serving". */
export type Serving = { readonly url: string; readonly metrics: string };

export type Program = {
  readonly child: ChildProcess;
  /** All lines of the log until now. */
  readonly log: readonly Line[];
  /**
   * The next line that holds these fields, of those that were not asked for before. Rejects when the program ends
   * without it.
   */
  readonly logged: (fields: Line) => Promise<Line>;
  readonly serving: () => Promise<Serving>;
  readonly exit: Promise<{ readonly code: number | null; readonly stderr: string }>;
};

/** Counting blocks for the coverage makes code up to forty times slower. */
export const isCoverageMeasured = process.env["_TAPJS_PROCESSINFO_COVERAGE_"] === "1";

/**
 * A command and its arguments, for `spawn`. The test runner puts hooks into every child, for coverage. They cost as
 * much as the start of the program, so they are left out where coverage is not measured.
 */
export const unhooked = (command: string, ...args: readonly string[]): [command: string, args: readonly string[]] =>
  isCoverageMeasured ? [command, args] : ["env", ["-u", "NODE_OPTIONS", command, ...args]];

/** The part of this process's environment that a child needs: no setting of the program's own. */
export const plainEnv = (): NodeJS.ProcessEnv => {
  const { PATH, HOME, NODE_COMPILE_CACHE } = process.env;
  return { PATH, HOME, ...(NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE }) };
};

export type Start = {
  /** Default: the project's. */
  readonly cwd?: string;
  /** All of its environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Called with every line of the log. */
  readonly onLine?: ((line: string) => void) | undefined;
};

/** Starts Node with these arguments. */
export const startProgram = (args: readonly string[], start: Start = {}): Program =>
  startCommand([process.execPath, ...args], start);

/** Starts a command that logs as the program does. */
export const startCommand = (
  [command = "", ...args]: readonly string[],
  { cwd = root, env = plainEnv(), onLine }: Start = {},
): Program => {
  const child = spawn(...unhooked(command, ...args), { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const log: Line[] = [];
  const taken = new Set<Line>();
  const waiting = new Set<() => void>();
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (more: string) => (stderr += more));
  createInterface(child.stdout).on("line", (line) => {
    log.push(JSON.parse(line) as Line);
    onLine?.(line);
    waiting.forEach((look) => look());
  });
  const exit: Program["exit"] = new Promise((resolve) => {
    child.once("close", (code) => resolve({ code, stderr }));
  });
  const logged: Program["logged"] = (fields) =>
    new Promise((resolve, reject) => {
      const wanted = Object.entries(fields);
      const look = (): void => {
        const line = log.find((each) => !taken.has(each) && wanted.every(([key, value]) => each[key] === value));
        if (line === undefined) return;
        taken.add(line);
        waiting.delete(look);
        resolve(line);
      };
      waiting.add(look);
      look();
      void exit.then(() => reject(new Error(`ended: ${stderr}`)));
    });
  return { child, log, logged, exit, serving: async () => (await logged({ msg: "serving" })) as Serving };
};
