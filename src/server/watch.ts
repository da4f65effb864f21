import { readFile } from "node:fs/promises";

/** Names the file and the system's reason, which not every error of Node does. */
export class UnreadableFile extends Error {
  readonly path: string;

  constructor(path: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message.replace(/, \w+( '.*')?$/, "") : String(cause);
    super(`cannot read ${path}: ${reason}`, { cause });
    this.path = path;
  }
}

/** The contents of some files, in their order. */
export type Contents = readonly string[];

export type Watch = {
  /** Looks now instead of at the next tick. */
  readonly check: () => Promise<void>;
  readonly stop: () => void;
};

/**
 * Calls `onChange` when the contents of the files changed, and `onError` when they cannot be read or `onChange` throws.
 * Each new content and each new error counts once. The contents are compared at an interval: the kubelet swaps a
 * symbolic link above a mounted file, which causes no event of the file.
 */
export const watchFiles = (
  paths: readonly string[],
  initial: Contents,
  everyMs: number,
  onChange: (contents: Contents) => void,
  onError: (error: unknown) => void,
): Watch => {
  let last = join(initial);
  let lastError = "";
  let checking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    try {
      const contents = await readFiles(paths);
      lastError = "";
      if (join(contents) === last) return;
      last = join(contents);
      onChange(contents);
    } catch (error) {
      if (String(error) !== lastError) onError(error);
      lastError = String(error);
    }
  };
  /** One look at a time, so that an older reading never arrives after a newer one. */
  const check = (): Promise<void> => (checking ??= look().finally(() => (checking = undefined)));
  const timer = setInterval(() => void check(), everyMs);
  timer.unref();
  return {
    check,
    stop: () => {
      clearInterval(timer);
    },
  };
};

const MAX_READINGS = 5;

/** The contents, read until two readings are equal, so that a certificate and a key come from the same swap. */
export const readFiles = async (paths: readonly string[]): Promise<Contents> => {
  let contents = await readAll(paths);
  for (let readings = 2; readings <= MAX_READINGS; readings += 1) {
    const again = await readAll(paths);
    if (join(again) === join(contents)) break;
    contents = again;
  }
  return contents;
};

/** Reads one file after another, so that of several unreadable files the first one is named each time. */
const readAll = async (paths: readonly string[]): Promise<Contents> => {
  const contents: string[] = [];
  for (const path of paths) contents.push(await read(path));
  return contents;
};

const read = async (path: string): Promise<string> => {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new UnreadableFile(path, error);
  }
};

const join = (contents: Contents): string => contents.join("\0");
