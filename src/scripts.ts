/**
 * Loads the files of a build, which are CommonJS. Node's own compile cache holds a file as it is before it has run: its
 * outermost functions. All other functions are compiled again at each start, which is a third of its CPU. So each file has a
 * second cache beside Node's, made when the process ends: with every function that has run.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire, getCompileCacheDir } from "node:module";
import { join } from "node:path";
import { Script } from "node:vm";

type Wrapper = (exports: object, require: (path: string) => unknown, module: Exporting, filename: string) => void;
type Exporting = { exports: object };

export type Build = {
  readonly folder: string;
  /** A hash of all files. V8 takes any cache of a text of the same length: the hash says of which text it is. */
  readonly hash: string;
};

/** Returns the exports of a file. `caches`: a folder that exists; `undefined`: there is no cache. */
export const loadScript = ({ folder, hash }: Build, name: string, caches = getCompileCacheDir()): unknown => {
  const requireBuiltin = createRequire(join(folder, name));
  const modules = new Map<string, Exporting>();
  const keep = keeper();
  const load = (name: string): object => {
    const known = modules.get(name);
    if (known) return known.exports;
    const module: Exporting = { exports: {} };
    modules.set(name, module);
    const filename = join(folder, name);
    const cache = caches && join(caches, `${name}.${hash}`);
    const cachedData = cache === undefined ? undefined : contentOf(cache);
    const script = compile(filename, cachedData);
    if (cache !== undefined && !(cachedData && isTaken(script))) keep(cache, script);
    (script.runInThisContext() as Wrapper)(module.exports, requireFrom, module, filename);
    return module.exports;
  };
  const requireFrom = (path: string): unknown =>
    path.startsWith("./") ? load(path.slice("./".length)) : requireBuiltin(path);
  return load(name);
};

/** The function that Node makes of a CommonJS file. A build is ASCII, which is read as it is. */
export const compile = (filename: string, cachedData?: Buffer): Script =>
  new Script(`(function(exports,require,module,__filename){${readFileSync(filename, "latin1")}\n})`, {
    filename,
    cachedData,
  });

/** Whether V8 took the cache. */
export const isTaken = ({ cachedDataRejected }: Script): boolean => cachedDataRejected === false;

const contentOf = (path: string): Buffer | undefined => {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
};

/** Writes the caches of scripts when the process ends. */
const keeper = (): ((path: string, script: Script) => void) => {
  const scripts = new Map<string, Script>();
  return (path, script) => {
    if (scripts.size === 0) process.once("exit", () => scripts.forEach((each, at) => write(at, each)));
    scripts.set(path, script);
  };
};

/** Renamed, so that no process reads half of it. A cache that cannot be written, as in an image, is not needed. */
const write = (path: string, script: Script): void => {
  try {
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(unfinished, script.createCachedData());
    renameSync(unfinished, path);
  } catch {
    // The program works without.
  }
};
