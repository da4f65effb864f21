/**
 * Shapes that real pods have: fixtures/env-shapes.json and env-shapes-more.json, each with where it was seen (`shape`).
 * `want` is the right text of an env. `{H}` stands for the address of a target and `{P}` for its port, which may be
 * absent where none was written. An env without a `want` holds its target in a form that is named. Where the table is
 * asked for a Service of the host's own, it has one.
 */
import { readFileSync } from "node:fs";
import t from "tap";
import { readTargets } from "../../../src/core/annotation.ts";
import { readPodHosts } from "../../../src/core/env/reading.ts";
import { redirectEnv } from "../../../src/core/env/redirect.ts";
import { type Pod, readPod } from "../../../src/core/pod.ts";
import type { Assignment, Target } from "../../../src/core/target.ts";
import { patched } from "../../making.ts";
import { assign } from "./table.ts";

type Shape = {
  readonly shape: string;
  readonly targets: string;
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly spec?: object;
  readonly want?: Readonly<Record<string, string>>;
};

/**
 * Each names an instance without a port, which the client asks for over UDP. Of the text the host alone changes, and
 * the env is named.
 */
const INSTANCES = new Set(["SQLAlchemy mssql+pyodbc with instance", "prisma#15011 HOST\\inst"]);
/** No client dials the hosts in these env. */
const SILENT = new Set(["TRUSTED_PROXIES", "CORS_ORIGINS"]);

const targetsOf = ({ targets }: Shape): readonly Target[] => {
  const read = readTargets(targets);
  if (read.kind === "reject") throw new Error(read.message);
  return read.targets;
};

const podOf = ({ env, args, command, spec }: Shape): Pod => {
  const container = { name: "c", ...(env && { env }), ...(args && { args }), ...(command && { command }) };
  const read = readPod({ metadata: {}, spec: { containers: [container], ...spec } });
  if (read.kind === "invalid") throw read.error;
  return read.pod;
};

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The text that is wanted, as a pattern. */
const patternOf = (want: string, assignments: readonly Assignment[]): RegExp => {
  const hosts = [...new Set(assignments.map(({ host }) => escaped(host)))].join("|");
  const portOf = (name: string | undefined): string =>
    String((assignments.find(({ target }) => target.name === name) ?? assignments[0])?.port);
  const pattern = escaped(want)
    .replaceAll("\\{H\\}", `(?:${hosts})`)
    .replaceAll(/:\\\{P(?::([\w-]+))?\\\}/g, (_all, name: string | undefined) => `(?::${portOf(name)})?`)
    .replaceAll(/\\\{P(?::([\w-]+))?\\\}/g, (_all, name: string | undefined) => portOf(name));
  return new RegExp(`^${pattern}$`);
};

const read = (name: string): readonly Shape[] =>
  JSON.parse(readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), "utf8")) as readonly Shape[];

for (const file of ["env-shapes.json", "env-shapes-more.json"]) {
  t.test(file, (t) => {
    for (const shape of read(file)) {
      t.test(shape.shape, (t) => {
        const targets = targetsOf(shape);
        const pod = podOf(shape);
        const hosts = readPodHosts(pod, targets);
        if (hosts.kind === "reject") throw new Error(hosts.message);
        const assignments = assign(targets, hosts.needOwnService);
        const result = redirectEnv(pod, assignments, hosts.readings);
        if (result.kind === "reject") throw new Error(result.message);
        const after = patched(pod, result.operations);
        const isNamed = (name: string): boolean =>
          result.unread.includes(`c/${name}`) && result.warnings.some((warning) => warning.startsWith(name));
        for (const { name, value = "" } of pod.spec.containers[0]?.env ?? []) {
          const text = after.spec.containers[0]?.env?.find((env) => env.name === name)?.value ?? "";
          const want = shape.want?.[name];
          if (want !== undefined && !INSTANCES.has(shape.shape)) t.match(text, patternOf(want, assignments), name);
          else if (targets.some(({ host }) => value.includes(host)) && !SILENT.has(name))
            t.ok(isNamed(name), `${name} is named`);
        }
        const held = [...(shape.args ?? []), ...(shape.command ?? [])].filter((text) =>
          targets.some(({ host }) => text.includes(host)),
        );
        t.equal(result.unread.filter((name) => name.startsWith("c: ")).length, held.length, "arguments are named");
        const again = redirectEnv(after, assignments);
        t.match(again, { operations: { length: 0 }, env: result.env, unread: result.unread }, "a second run");
        t.end();
      });
    }
    t.end();
  });
}

t.test("each of the further shapes names a repository, a document or a report", async (t) => {
  const shapes = read("env-shapes-more.json").map(({ shape }) => shape);
  t.ok(shapes.length >= 100, `${shapes.length} shapes`);
  t.equal(new Set(shapes).size, shapes.length, "each once");
  for (const shape of shapes) t.match(shape, /\w\/\w|#\d|\b(docs|README|guide|wiki)\b/, shape);
});
