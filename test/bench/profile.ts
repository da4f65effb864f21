/** Reads a CPU profile of V8 (`node --cpu-prof`): in which part of the program the time goes. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

type Node = {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
};
type Profile = {
  readonly nodes: readonly Node[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

/**
 * Shares of the busy time of the last `ms` milliseconds by part, largest first: a file of the project, a package, or
 * Node itself.
 */
export const sharesOf = (folder: string, ms: number): readonly (readonly [part: string, share: number])[] => {
  const file = readdirSync(folder).find((name) => name.endsWith(".cpuprofile")) ?? "";
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(folder, file), "utf8")) as Profile;
  const parts = partsOf(nodes);
  const shares = new Map<string, number>();
  let left = ms * 1000;
  let busy = 0;
  for (let at = samples.length - 1; at >= 0 && left > 0; at -= 1) {
    const delta = timeDeltas[at] ?? 0;
    left -= delta;
    const part = parts.get(samples[at] ?? 0) ?? "";
    if (part === "") continue;
    busy += delta;
    shares.set(part, (shares.get(part) ?? 0) + delta);
  }
  return [...shares].map(([part, time]) => [part, time / busy] as const).sort((a, b) => b[1] - a[1]);
};

/** The part of each node of the tree; what is built in counts for its caller. `""`: idle. */
const partsOf = (nodes: readonly Node[]): ReadonlyMap<number, string> => {
  const parts = new Map<number, string>();
  for (const { id, callFrame, children = [] } of nodes) {
    const part = partOf(callFrame) ?? parts.get(id) ?? "node";
    parts.set(id, part);
    for (const child of children) parts.set(child, part); // a parent comes before its children
  }
  return parts;
};

const partOf = ({ functionName, url }: Node["callFrame"]): string | undefined => {
  if (functionName === "(idle)") return "";
  if (functionName === "(garbage collector)") return "garbage collector";
  if (url.startsWith("node:")) return "node";
  const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? /\/(src\/.*)$/.exec(url)?.[1];
  return name ?? (url === "" ? undefined : "node");
};
