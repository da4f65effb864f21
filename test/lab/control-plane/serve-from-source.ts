// The inner loop: the webhook from source, started again whenever the source changes. Not by `node --watch`, whose
// child outlives it when it is killed.
import { watch } from "node:fs";
import type { Webhook } from "./webhook.ts";

/** An editor writes a file in several steps, and a checkout many files. */
const SETTLE_MS = 100;

export type FromSource = { readonly stop: () => Promise<void> };

/**
 * Starts it, and again after each change below `folder`. A version that does not start is reported, and the next change
 * is tried.
 */
export const serveFromSource = async (
  start: () => Promise<Pick<Webhook, "stop">>,
  folder: string,
  say: (line: string) => void,
): Promise<FromSource> => {
  let webhook: Pick<Webhook, "stop"> | undefined = await start();
  const restart = async (): Promise<void> => {
    await webhook?.stop();
    webhook = undefined;
    try {
      webhook = await start();
      say("The source changed: the webhook serves the new one.");
    } catch (error) {
      say(`The source changed, and does not start (${String(error)}): waiting for the next change.`);
    }
  };
  let work = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const watcher = watch(folder, { recursive: true }, () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      work = work.then(restart);
    }, SETTLE_MS);
  });
  return {
    stop: async () => {
      watcher.close();
      clearTimeout(timer);
      await work;
      await webhook?.stop();
    },
  };
};
