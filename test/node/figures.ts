// The measured figures, beside the same step by the flowgen chart 0.19.0, by Helm with its values edited by hand. That
// was measured once on such a node, with two clients of 10 fresh queries a second each and one long session. It is a
// reference, and no test compares with it.
const steps = {
  "apply to first row": { documented: "13.7-17.6 s", goal: 3 },
  "second target: queries of the first lost": { documented: "450 of 618, gap 23.7 s" },
  "second target: apply to first row": { documented: "24.3 s", goal: 3 },
  "target removed: queries of the first lost": { documented: "435 of 604, gap 23.6 s" },
  "gateway pod deleted: gap": { documented: "13.1 s, two pods with one key for 8-28 s", goal: 3 },
  "interface down: packets leaked": { documented: "386" },
  "interface up again: gap": { documented: "still dead after 45 s", goal: 3 },
  "key rotated in the Secret: gap": { documented: "no recovery without a restart by hand" },
  "node drained: gap after uncordon": { documented: "not measured", goal: 3 },
  "helm upgrade and rollback": { documented: "not measured" },
  "helm uninstall": { documented: "not measured" },
  "VPN server dead: not ready after": { documented: "never" },
  "VPN server back: ready after": { documented: "16-34 s, probe blind throughout" },
} as const;

export type FigureStep = keyof typeof steps;
export type Timed = { [S in FigureStep]: (typeof steps)[S] extends { goal: number } ? S : never }[FigureStep];
/** The figures of one forwarder. */
export type ForwarderFigures = {
  readonly note: (step: FigureStep, measured: string) => void;
  /**
   * Notes a time, in milliseconds, and says whether it is near its goal: a busy machine is slower, a broken gateway
   * much slower.
   */
  readonly isInTime: (step: Timed, milliseconds: number, more?: string) => boolean;
};
export type FiguresTable = {
  readonly socat: ForwarderFigures;
  /** Only what depends on the forwarder. */
  readonly kernel: ForwarderFigures;
  /** The steps without a figure though each has one by socat. */
  readonly missing: () => readonly FigureStep[];
  /** A line a step. */
  readonly print: () => readonly string[];
};

const PATIENCE = 4;

/** Milliseconds as seconds. */
export const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;

export const figures = (): FiguresTable => {
  const names = Object.keys(steps) as FigureStep[];
  const [bySocat, byKernel] = [new Map<FigureStep, string>(), new Map<FigureStep, string>()];
  const row = (...cells: readonly string[]): string =>
    cells
      .map((cell) => cell.padEnd(46))
      .join("")
      .trimEnd();
  return {
    socat: into(bySocat),
    kernel: into(byKernel),
    missing: () => names.filter((step) => !bySocat.has(step)),
    print: () => [
      row("step", "documented way", "this gateway", "the same, forwarder: kernel"),
      ...names.map((step) => row(step, steps[step].documented, bySocat.get(step) ?? "", byKernel.get(step) ?? "")),
    ],
  };
};

const into = (measured: Map<FigureStep, string>): ForwarderFigures => ({
  note: (step, text) => void measured.set(step, text),
  isInTime: (step, milliseconds, more = "") => {
    const { goal } = steps[step];
    measured.set(step, `${seconds(milliseconds)} (goal ${goal} s)${more}`);
    return milliseconds <= PATIENCE * goal * 1000;
  },
});
