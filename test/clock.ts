/** Virtual time for simulations: they take no longer on a slow machine, and give the same each time. */

export type Clock = {
  /** Milliseconds. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** Ends when no sleeper is left. */
  readonly run: () => Promise<void>;
};
/** Time that passes when nothing is left to do: sleepers wake one by one, the earliest first. */
export const createClock = (): Clock => {
  let time = 0;
  const sleepers: { readonly at: number; readonly wake: () => void }[] = [];
  return {
    now: () => time,
    sleep: (ms) =>
      new Promise((wake) => {
        const at = time + ms;
        let [low, high] = [0, sleepers.length];
        while (low < high) {
          const middle = (low + high) >> 1;
          if ((sleepers[middle]?.at ?? 0) > at) low = middle + 1;
          else high = middle;
        }
        sleepers.splice(low, 0, { at, wake }); // the earliest is the last
      }),
    run: async () => {
      for (let next = sleepers.pop(); next !== undefined; next = sleepers.pop()) {
        time = next.at;
        next.wake();
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
};
