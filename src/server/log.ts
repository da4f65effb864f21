import { destination as fileDestination, type DestinationStream, type Logger, pino } from "pino";

/** Shorter than anybody notices; at 1,000 admissions a second ten of them share a write. */
const TOGETHER_MS = 10;

/**
 * The program's log: JSON lines on standard output. Those of 10 ms share one write, because a write of its own costs about as
 * much as a whole admission does. Lines that wait when the process exits, or when a fatal one is logged, are written at once.
 */
export const createLog = (level: string): Logger => {
  const stream = together(fileDestination({ fd: 1, sync: true }));
  process.on("exit", stream.flushSync);
  return pino({ level, base: null, timestamp: isoTime() }, stream);
};

/** A stream of lines that passes them on together, soon after the first. pino calls `flushSync` after a fatal line. */
export const together = (to: DestinationStream): DestinationStream & { readonly flushSync: () => void } => {
  let lines = "";
  const flushSync = (): void => {
    if (lines === "") return;
    const text = lines;
    lines = "";
    to.write(text);
  };
  return {
    write: (line) => {
      if (lines === "") setTimeout(flushSync, TOGETHER_MS);
      lines += line;
    },
    flushSync,
  };
};

/** pino's `isoTime`, made once a millisecond. */
const isoTime = (): (() => string) => {
  let at = NaN;
  let text = "";
  return () => {
    const now = Date.now();
    if (now !== at) text = `,"time":"${new Date(now).toISOString()}"`;
    at = now;
    return text;
  };
};
