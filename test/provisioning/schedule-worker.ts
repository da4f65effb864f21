/** Plays its share of the schedules, away from the test runner, which watches every promise. */
import { parentPort, workerData } from "node:worker_threads";
import { playLives } from "./lives.ts";
import { playRolls } from "./rolls.ts";
import { type Played, playSchedule } from "./schedule.ts";

/** Seeds from `first` to `last`, every `step`-th. */
export type Share = { readonly first: number; readonly last: number; readonly step: number };
export type WorkerReport = Played & { readonly removed: number; readonly failure?: string };

const { first, last, step } = workerData as Share;
/** A course of pods' lives takes several times as long. */
const LIVES_EVERY = 4;
/** A roll of several Deployments takes some forty times as long. */
const ROLLS_EVERY = 20;
let [steps, crashes, removed] = [0, 0, 0];
let failure: string | undefined;
for (let seed = first; seed <= last && failure === undefined; seed += step) {
  try {
    const played = await playSchedule(seed);
    steps += played.steps;
    crashes += played.crashes;
    const rolls = seed % ROLLS_EVERY === 0 ? await playRolls(seed) : { steps: 0, crashes: 0 };
    steps += rolls.steps;
    crashes += rolls.crashes;
    if (seed % LIVES_EVERY !== 0) continue;
    const lives = await playLives(seed);
    steps += lives.steps;
    crashes += lives.crashes;
    removed += lives.removed;
  } catch (error) {
    failure = `schedule ${seed}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
parentPort?.postMessage({ steps, crashes, removed, ...(failure !== undefined && { failure }) } satisfies WorkerReport);
