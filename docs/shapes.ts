/** The table of docs/annotations.md: shapes that real pods have, before and after the redirect. */
import { readFileSync } from "node:fs";
import { readTargets } from "../src/core/annotation.ts";
import { readPodHosts } from "../src/core/env/reading.ts";
import { redirectEnv } from "../src/core/env/redirect.ts";
import type { EnvVar, Pod } from "../src/core/pod.ts";
import { assign } from "../test/core/env/table.ts";
import { patched } from "../test/making.ts";

type Shape = { readonly targets: string; readonly env?: readonly EnvVar[]; readonly spec?: object };

/** Longer values make no readable line. */
const LONGEST = 64;

const START = "<!-- shapes: made by `npm run docs` from test/fixtures/env-shapes.json -->";
const END = "<!-- end of shapes -->";

const code = (text: string): string => `\`${text.replaceAll("\n", "⏎").replaceAll("|", "\\|")}\``;

/** Before, after, and whether the env is named: one line for each env of a shape that holds a target. */
const linesOf = ({ targets: text, env = [], spec }: Shape): readonly string[] => {
  const read = readTargets(text);
  if (read.kind === "reject" || spec !== undefined) return [];
  const pod: Pod = { metadata: {}, spec: { containers: [{ name: "c", env: [...env] }] } };
  const hosts = readPodHosts(pod, read.targets);
  if (hosts.kind === "reject") return [];
  const result = redirectEnv(pod, assign(read.targets, hosts.needOwnService));
  if (result.kind === "reject") return [];
  const after = patched(pod, result.operations).spec.containers[0]?.env ?? [];
  return env.flatMap(({ name, value = "" }) => {
    const now = after.find((each) => each.name === name)?.value ?? "";
    const isHeld = read.targets.some(({ host }) => value.includes(host));
    if (!isHeld || value.length > LONGEST || now.includes("10.0.0.") === (now !== value)) return [];
    return [
      `| ${code(value)} | ${now === value ? "as it was" : code(`${name}=${now}`)} | ${result.unread.includes(`c/${name}`) ? "yes" : ""} |`,
    ];
  });
};

/** The page with its table made anew. */
export const withShapes = (page: string): string => {
  const file = new URL("../test/fixtures/env-shapes.json", import.meta.url);
  const shapes = JSON.parse(readFileSync(file, "utf8")) as readonly Shape[];
  const lines = [...new Set(shapes.flatMap(linesOf))];
  const table = ["| before | after | named |", "| --- | --- | --- |", ...lines].join("\n");
  const [head = ""] = page.split(START);
  const [, tail = ""] = page.split(END);
  return `${head}${START}\n\n${table}\n\n${END}${tail}`;
};
