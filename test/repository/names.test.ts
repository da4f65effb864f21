import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { root } from "../program.ts";

const EXPORT = /^export (?:async )?(?:function\*?|const|let|class|type) (?:\{ )?(\w+)/gm;

/** The files of some folders by the names that they export; a name of two files has two. */
const exportsOf = (...folders: readonly string[]): ReadonlyMap<string, readonly string[]> => {
  const files = new Map<string, string[]>();
  for (const folder of folders)
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts")) continue;
      for (const [, name = ""] of readFileSync(join(root, folder, file), "utf8").matchAll(EXPORT))
        files.set(name, [...(files.get(name) ?? []), join(folder, file)]);
    }
  return files;
};

t.test("no two files of src and test export the same name", async (t) => {
  const files = exportsOf("src", "test");
  t.ok(files.size > 700, "the exports were found");
  t.match(files.get("admit"), ["src/admit.ts"]);
  t.strictSame(
    [...files].filter(([, places]) => places.length > 1),
    [],
  );
});
