import { destination as fileDestination, type DestinationStream, type Logger, pino } from "pino";

/**
 * The program's log: JSON lines on standard output, written once per turn of the event loop. Admissions answered in the
 * same turn share one write, because a write costs as much as an admission. When the process exits or a fatal line is
 * logged, the waiting lines are written at once.
 */
export const createLog = (level: string): Logger => {
  const stream = perTurn(fileDestination({ fd: 1, sync: true }));
  process.on("exit", stream.flushSync);
  return pino({ level, base: null, timestamp: isoTime(), formatters: { level: (name) => ({ level: name }) } }, stream);
};

/**
 * A stream of lines that passes them on together, at the end of the turn. pino calls `flushSync` after a fatal line.
 */
export const perTurn = (to: DestinationStream): DestinationStream & { readonly flushSync: () => void } => {
  let lines = "";
  const flushSync = (): void => {
    if (lines === "") return;
    const text = lines;
    lines = "";
    to.write(text);
  };
  return {
    write: (line) => {
      if (lines === "") setImmediate(flushSync);
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
