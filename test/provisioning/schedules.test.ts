import { once } from "node:events";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import t from "tap";
import type { WorkerReport, Share } from "./schedule-worker.ts";

const SCHEDULES = Number(process.env["SCHEDULES"] ?? 200);
/** A worker's start is worth it for a thousand. */
const WORKERS = Math.min(availableParallelism(), Math.ceil(SCHEDULES / 1000));

const play = async (workerData: Share): Promise<WorkerReport> => {
  const worker = new Worker(new URL("./schedule-worker.ts", import.meta.url), { workerData });
  const [report] = (await once(worker, "message")) as [WorkerReport];
  return report;
};

t.test(
  `the forward table's invariants hold under ${SCHEDULES} schedules of replicas, faults and crashes`,
  async (t) => {
    const shares = Array.from({ length: WORKERS }, (_, at) => ({ first: at + 1, last: SCHEDULES, step: WORKERS }));
    const reports = await Promise.all(shares.map(play));
    for (const { failure } of reports) if (failure !== undefined) t.fail(failure);
    const sum = (part: "steps" | "crashes" | "removed"): number =>
      reports.reduce((all, report) => all + report[part], 0);
    t.comment(
      `${SCHEDULES} schedules, ${sum("steps")} steps, ${sum("crashes")} crashed replicas, ${sum("removed")} removed forwards`,
    );
    t.ok(sum("steps") > SCHEDULES * 20, "the schedules did something");
    t.ok(sum("removed") > 0 || SCHEDULES < 100, "some forwards were removed");
    t.ok(sum("crashes") > 0 || SCHEDULES < 100, "some replicas crashed");
  },
);
