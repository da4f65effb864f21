/** Versions, nodes, and what the webhook's ServiceAccount may do. */
import type { KubeObject } from "../cluster/cluster.ts";
import type { Right } from "../cluster/reader.ts";
import { type Finding, findingsOf, type BrokenObject, NO_OBJECT, type Seen } from "./finding.ts";
import { statusIn } from "./objects.ts";

const say = findingsOf("cluster");
const sayOfRights = findingsOf("rights");

const OLDEST_MINOR = 30;
/** `version`: the API server's, such as `v1.34.1`. */
export const versionFindings = (version: Seen<string>): readonly Finding[] => {
  if (version.kind === "unseen") return [say.unseen("API server", version.why)];
  const minor = Number(/^v1\.(\d+)/.exec(version.value)?.[1]);
  const object = `API server ${version.value}`;
  return [minor < OLDEST_MINOR ? say.fault("kubernetes-old", object) : say.ok(object, "new enough")];
};

/** Linux has WireGuard since 5.6. */
const isOld = (kernel: string): boolean => {
  const [, major = 0, minor = 0] = (/^(\d+)\.(\d+)/.exec(kernel) ?? []).map(Number);
  return major < 5 || (major === 5 && minor < 6);
};

/** The nodes' kernels. The API does not show a node's devices. */
export const nodeFindings = (nodes: Seen<readonly KubeObject[]>): readonly Finding[] => {
  if (nodes.kind === "unseen") return [say.unseen("nodes", nodes.why)];
  const kernels = nodes.value.map(
    (node) => [node.metadata.name ?? "", statusIn(node).nodeInfo?.kernelVersion] as const,
  );
  const old = kernels.flatMap(([name, kernel]) =>
    kernel !== undefined && isOld(kernel)
      ? [say.fault("kernel-old", `Node ${name}`, `Linux ${kernel}`, NO_OBJECT)]
      : [],
  );
  const known = kernels.filter(([, kernel]) => kernel !== undefined).length;
  return [
    ...(old.length === 0 && known > 0 ? [say.ok("nodes", `${known} with a kernel that has WireGuard`)] : old),
    say.unseen(
      "/dev/net/tun of the nodes",
      "devices are not in the API; a gateway whose node lacks it has the finding device-missing",
    ),
  ];
};

/** A right that is needed, and whether it is there. */
export type AskedRight = { readonly right: Right; readonly isGranted: Seen<boolean> };

/** Of more objects than these the names are not listed. */
const MOST_NAMES = 3;
/** Rights to the same resource in one text: `get, patch configmaps a, b in NS`. */
const textsOf = (rights: readonly Right[]): readonly string[] => {
  const objects = [...Map.groupBy(rights, ({ verb: _verb, ...object }) => JSON.stringify(object)).values()].map(
    (same) => ({ ...same[0], verbs: same.map(({ verb }) => verb).join(", ") }),
  );
  const alike = Map.groupBy(objects, ({ verbs, group = "", resource = "", namespace = "" }) => {
    const what = group === "" ? resource : `${resource}.${group}`;
    return JSON.stringify([`${verbs} ${what}`, namespace === "" ? "" : ` in ${namespace}`]);
  });
  return [...alike].map(([key, same]) => {
    const [what, where] = JSON.parse(key) as [string, string];
    const names = same.flatMap(({ name = "" }) => (name === "" ? [] : [name]));
    return `${what}${names.length > MOST_NAMES ? "" : names.map((name) => ` ${name}`).join(",")}${where}`;
  });
};

/** One finding for all rights that lack. `who`: in messages. */
export const rightFindings = (
  who: string,
  asked: readonly AskedRight[],
  code: "right-of-webhook" | "right-to-install",
  place: BrokenObject,
): readonly Finding[] => {
  const unseen = asked.flatMap(({ isGranted }) => (isGranted.kind === "unseen" ? [isGranted.why] : []));
  const missing = asked.flatMap(({ right, isGranted }) =>
    isGranted.kind === "seen" && !isGranted.value ? [right] : [],
  );
  return [
    ...(unseen[0] === undefined ? [] : [sayOfRights.unseen(who, `its rights: ${unseen[0]}`)]),
    ...(missing.length > 0 ? [sayOfRights.fault(code, who, `it may not ${textsOf(missing).join("; ")}`, place)] : []),
    ...(unseen.length + missing.length === 0 && asked.length > 0
      ? [sayOfRights.ok(who, "has the rights that it needs")]
      : []),
  ];
};
