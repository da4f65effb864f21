import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";
import { root } from "../program.ts";

/** The files of src that each file imports, types included. */
const importsOf = (): ReadonlyMap<string, readonly string[]> =>
  new Map(
    readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => {
        const text = readFileSync(join(root, "src", file), "utf8");
        const imports = [...text.matchAll(/(?:\bfrom |\bimport\()"(\.[^"]+\.ts)"/g)];
        return [file, imports.map(([, path = ""]) => join(dirname(file), path))];
      }),
  );

/** The first circle that begins at a file, by a search in depth; `done`: files that are in no circle. */
const circleFrom = (
  file: string,
  imports: ReadonlyMap<string, readonly string[]>,
  done: Set<string>,
  path: readonly string[] = [],
): readonly string[] | undefined => {
  if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
  if (done.has(file)) return undefined;
  for (const next of imports.get(file) ?? []) {
    const circle = circleFrom(next, imports, done, [...path, file]);
    if (circle) return circle;
  }
  done.add(file);
  return undefined;
};

t.test("a circle of imports is found", async (t) => {
  const imports = new Map([
    ["a", ["b"]],
    ["b", ["c", "d"]],
    ["c", []],
    ["d", ["b"]],
  ]);
  t.strictSame(circleFrom("a", imports, new Set()), ["b", "d", "b"]);
});

t.test("no files of src import each other in a circle, not for types either", async (t) => {
  const imports = importsOf();
  t.ok([...imports.values()].flat().length > 500, "the imports were found");
  const done = new Set<string>();
  t.strictSame(
    [...imports.keys()].flatMap((file) => circleFrom(file, imports, done) ?? []),
    [],
  );
});
