/** Plays its share of the schedules, away from the test runner, which watches every promise. */
import { parentPort, workerData } from "node:worker_threads";
import { type Played, playSchedule } from "./schedule.ts";

/** Seeds from `first` to `last`, every `step`-th. */
export type Share = { readonly first: number; readonly last: number; readonly step: number };
export type Report = Played & { readonly failure?: string };

const { first, last, step } = workerData as Share;
let [steps, crashes] = [0, 0];
let failure: string | undefined;
for (let seed = first; seed <= last && failure === undefined; seed += step) {
  try {
    const played = await playSchedule(seed);
    steps += played.steps;
    crashes += played.crashes;
  } catch (error) {
    failure = `schedule ${seed}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
parentPort?.postMessage({ steps, crashes, ...(failure !== undefined && { failure }) } satisfies Report);
