/** Prints the pods and tables of the demo. Passwords are masked: the output may end in a recording. */
import { readTable } from "../../core/forwards/format.ts";
import { serviceOf } from "../../core/forwards/table.ts";
import type { Pod } from "../../core/pod.ts";
import { address } from "../../core/target.ts";
import { annotation } from "../../core/names.ts";
import { masked } from "../inject/masked.ts";
import { aligned } from "../inject/report.ts";

export type DemoAnswer = {
  readonly allowed: boolean;
  readonly patch?: string;
  readonly warnings?: readonly string[];
  readonly status?: { readonly code: number; readonly message: string };
};

/** The lines of an answer, and of its patch of the pod's env. */
export const answerLines = (answer: DemoAnswer, before: Pod, after: Pod): readonly string[] => {
  const status = after.metadata.annotations?.[annotation.status];
  return [
    ...(answer.status ? [`  ${answer.status.code}: ${answer.status.message}`] : []),
    ...(answer.warnings ?? []).map((warning) => `  warning: ${warning}`),
    ...(answer.patch === undefined ? [] : aligned(envRows(before, after))),
    ...(status === undefined ? [] : [`  ${annotation.status}: ${status}`]),
  ];
};

const envRows = (before: Pod, after: Pod): string[][] =>
  after.spec.containers.flatMap(({ env }, index) =>
    (env ?? []).map(({ name, value }) => {
      const old = before.spec.containers[index]?.env?.find((other) => other.name === name);
      return [`  ${name}`, old === undefined ? "(absent)" : shown(old.value), "→", shown(value)];
    }),
  );

const shown = (value: string | undefined): string => (value === undefined ? "(from elsewhere)" : masked(value));

/** A table's forwards, one row each; a table that cannot be read is one row that says why. */
export const forwardRows = (json: string): readonly (readonly string[])[] => {
  const read = readTable(json, "table.json");
  if (read.kind !== "table") return [[read.kind === "fail" ? read.detail : read.message]];
  return read.table.forwards.map((item) => [
    item.name,
    String(item.listenPort),
    item.tunnel,
    address(item.targetHost, item.targetPort),
    serviceOf(read.table, item.tunnel, item.targetHost)?.name ?? "the gateway's own",
  ]);
};

export const forwardLines = (rows: readonly (readonly string[])[]): readonly string[] =>
  aligned([["FORWARD", "LISTEN PORT", "TUNNEL", "TARGET", "SERVICE"], ...rows]);
