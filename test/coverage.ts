/**
 * The coverage that is asked for: the core whole, the rest 90 %, and no file that no test has seen. Reads what
 * `tap run --coverage-report=json-summary` left; prints what falls short and exits 1.
 */
import { readdirSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import { root } from "./program.ts";

type Part = { readonly pct: number };
type Summary = Readonly<Record<string, { readonly lines: Part; readonly branches: Part }>>;

const summary = JSON.parse(readFileSync(`${root}/.tap/report/coverage-summary.json`, "utf8")) as Summary;
const reports = new Map(Object.entries(summary).map(([path, report]) => [relative(root, path), report]));
const sources = readdirSync(`${root}/src`, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => `src/${path}`);

/** The parts that decide without I/O: the core, and the step of the certificates. */
const DECIDES = /^src\/(core\/|certificates\/(step|judgement|reasons|secret|x509)\.ts$)/;

const short = sources.flatMap((path) => {
  const report = reports.get(path);
  if (report === undefined) return holdsTypesOnly(path) ? [] : [`${path}: no test imports it`];
  const least = DECIDES.test(path) ? 100 : 90;
  return (["lines", "branches"] as const)
    .filter((part) => report[part].pct < least)
    .map((part) => `${path}: ${report[part].pct} % of ${part}, at least ${least} are asked for`);
});

/** Nothing is left of such a file when it runs, so nothing can be covered. */
function holdsTypesOnly(path: string): boolean {
  return !/^export (const|function|class)|^(const|let) /m.test(readFileSync(`${root}/${path}`, "utf8"));
}

if (short.length > 0) {
  console.error(short.join("\n"));
  process.exitCode = 1;
} else {
  console.log(`coverage: ${reports.size} files, src/core 100 %, the rest at least 90 %`);
}
