import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { root } from "../program.ts";

const MOST = 120;

/** Folders without pages of the project's own. */
const OTHERS = new Set(["node_modules", "dist", "release", "coverage"]);

/** The Markdown files below a folder of the repository. */
const pagesIn = (folder: string): readonly string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name.startsWith(".") || OTHERS.has(entry.name) ? [] : pagesIn(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });

/** Lines that cannot be wrapped: a row of a table, and a line of one word such as a link. */
const isWhole = (line: string): boolean =>
  /^\s*(>\s*)?\|/.test(line) || !/\S\s+\S/.test(line.replace(/^\s*([-*]|\d+\.)\s+/, ""));

t.test(`lines of Markdown have at most ${MOST} characters`, async (t) => {
  const pages = pagesIn(".");
  t.ok(pages.length > 10);
  for (const page of pages) {
    let isFenced = false;
    readFileSync(join(root, page), "utf8")
      .split("\n")
      .forEach((line, index) => {
        if (/^\s*```/.test(line)) isFenced = !isFenced;
        else if (!isFenced && !isWhole(line) && line.length > MOST) t.fail(`${page}:${index + 1}: ${line.length}`);
      });
  }
});
