import { readFile } from "node:fs/promises";

/** The contents of some files, in their order, read together. */
export type Contents = readonly string[];

export type Watch = {
  /** Looks now, not at the next tick. */ readonly check: () => Promise<void>;
  readonly stop: () => void;
};

/**
 * Calls `onChange` when the contents of the files differ from what they were, `onError` when they cannot be read. Contents are
 * compared, at an interval, because the kubelet swaps a symbolic link above a mounted file and no event of the file tells.
 */
export const watchFiles = (
  paths: readonly string[],
  initial: Contents,
  everyMs: number,
  onChange: (contents: Contents) => void,
  onError: (error: unknown) => void,
): Watch => {
  let last = initial.join("\0");
  const check = async (): Promise<void> => {
    try {
      const contents = await readFiles(paths);
      const next = contents.join("\0");
      if (next === last) return;
      last = next;
      onChange(contents);
    } catch (error) {
      onError(error);
    }
  };
  const timer = setInterval(() => void check(), everyMs);
  timer.unref();
  return {
    check,
    stop: () => {
      clearInterval(timer);
    },
  };
};

export const readFiles = (paths: readonly string[]): Promise<Contents> =>
  Promise.all(paths.map((path) => readFile(path, "utf8")));
