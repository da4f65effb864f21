import { readdirSync } from "node:fs";
import { join } from "node:path";
import root from "tap";

const tests = join(import.meta.dirname, "..");
/** Runs beside the others (package.json names it): it waits for the processes that it starts. */
const ALONE = "build.test.ts";

/**
 * Runs the test files of these folders of test/ in this one process. The start of a process, with the test runner and
 * the program, takes longer than most of the files. They are loaded before any of their tests begins.
 */
export const runTogether = (...folders: readonly string[]): void => {
  root.test(`the files of ${folders.map((folder) => join("test", folder)).join(", ")}`, async (t) => {
    const files = folders.flatMap((folder) =>
      readdirSync(join(tests, folder), { recursive: folder !== ".", encoding: "utf8" })
        .filter((name) => name.endsWith(".test.ts") && name !== ALONE)
        .sort()
        .map((name) => join(tests, folder, name)),
    );
    process.setSourceMapsEnabled(false); // types are stripped in place; to read the maps of all packages takes long
    for (const file of files) await import(file);
    t.ok(files.length > 0);
    root.jobs = 1; // a file may let its own tests run side by side, but not next to those of others
  });
};
