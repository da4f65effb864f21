// The events of flowgen's tasks, from the pod's log.
import { eventually } from "../../wait.ts";
import { containerLog, type Client } from "../node/clients.ts";
import { TASKS, type Task } from "./pod.ts";

export type Event = { readonly at: number; readonly task: Task; readonly text: string };

/** A line of flowgen's log, as far as it is read here. */
type Said = {
  readonly level: string;
  readonly target: string;
  readonly fields: { readonly message?: string; readonly error?: string };
  readonly spans?: readonly { readonly flow?: string }[];
};

const LOG_TASK = "flowgen_core::task::log::processor";

/** The events that reached the end of a flow since `from`, and the rows of psql, in order. */
export const eventsOf = async (client: Client, from: number): Promise<readonly Event[]> => {
  const flows = (await containerLog(client, "flowgen", from)).flatMap(({ at, line }): Event[] => {
    const said = read(line);
    const task = TASKS.find((task) => said?.spans?.some(({ flow }) => flow === task));
    return said?.target === LOG_TASK && task !== undefined ? [{ at, task, text: said.fields.message ?? "" }] : [];
  });
  const rows = (await containerLog(client, "psql", from)).flatMap(({ at, line }): Event[] => {
    const [, text] = /^psql (\d+\.\d+\.\d+\.\d+)$/.exec(line) ?? [];
    return text === undefined ? [] : [{ at, task: "psql", text }];
  });
  return [...flows, ...rows].sort((a, b) => a.at - b.at);
};

/** The last error of each task, for the message of a test whose wait failed. */
const complaints = async (client: Client): Promise<string> => {
  const errors = (await containerLog(client, "flowgen", 0)).flatMap(({ line }) => {
    const said = read(line);
    const flow = said?.spans?.find(({ flow }) => flow !== undefined)?.flow ?? "";
    return said?.level === "ERROR" ? [[flow, said.fields.error ?? said.fields.message ?? ""] as const] : [];
  });
  const psql = (await containerLog(client, "psql", 0)).at(-1)?.line ?? "";
  return [...new Map(errors)]
    .map((pair) => pair.join(": "))
    .concat(psql)
    .join("\n");
};

const read = (line: string): Said | undefined => {
  try {
    return JSON.parse(line) as Said;
  } catch {
    return undefined; // not from its logger
  }
};

/** The first event of each task since `from`, once all have one. */
export const firstEvents = (client: Client, from: number, limit: number): Promise<Readonly<Record<Task, Event>>> =>
  eventually(
    `events of ${TASKS.join(", ")}`,
    limit,
    async () => {
      const first = new Map((await eventsOf(client, from)).toReversed().map((event) => [event.task, event]));
      return first.size < TASKS.length ? undefined : (Object.fromEntries(first) as Record<Task, Event>);
    },
    async () => {
      const had = new Set((await eventsOf(client, from)).map(({ task }) => task));
      return `without one: ${TASKS.filter((task) => !had.has(task)).join(", ")}\n${await complaints(client)}`;
    },
  );
