import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CertificateReading, CertificateStore } from "../../certificates/store.ts";
import { type CertificateFiles, FILE_NAMES, fromFiles, hasOwnFiles, toFiles } from "../../certificates/secret.ts";
import { messageOf } from "../../core/message.ts";
import { UsageError } from "../options/options.ts";

/** Where `caBundle` is, when no webhook configuration is named: beside the certificates, for people to put in. */
export const BUNDLE_FILE = "ca-bundle.crt";
const NAMES = [...FILE_NAMES, BUNDLE_FILE];

export type Folder = {
  readonly read: () => Promise<CertificateFiles>;
  /** `undefined` removes a file. */
  readonly write: (files: Readonly<Record<string, string | undefined>>) => Promise<void>;
};

/** A folder on disk. Private files are readable by their owner only, and a file is whole at every moment. */
export const diskFolder = (path: string): Folder => ({
  read: () => mended(path, () => readAll(path)),
  write: (files) => mended(path, () => writeAll(path, files)),
});

/** A copy in memory: what a dry run writes to. */
export const memoryFolder = (files: CertificateFiles): Folder => {
  const copy = new Map(Object.entries(files));
  return {
    read: () => Promise.resolve(Object.fromEntries(copy)),
    write: (changes) => {
      for (const [name, text] of Object.entries(changes)) {
        if (text === undefined) copy.delete(name);
        else copy.set(name, text);
      }
      return Promise.resolve();
    },
  };
};

/** Certificates in a folder; `caBundle` where `readBundles` says, or in the folder too. */
export const folderStore = (
  name: string,
  folder: Folder,
  readBundles?: (signal: AbortSignal) => Promise<Pick<CertificateReading, "bundles" | "paths" | "trust">>,
): CertificateStore => ({
  name,
  read: async (signal) => {
    const { [BUNDLE_FILE]: bundle = "", ...files } = await folder.read();
    if (Object.keys(files).length > 0 && !hasOwnFiles(files)) return { kind: "refused", failure: "data-unmanaged" };
    return {
      kind: "read",
      stored: fromFiles(files),
      write: (certificates) => {
        const absent = Object.fromEntries(FILE_NAMES.map((file) => [file, undefined]));
        return folder.write({ ...absent, ...toFiles(certificates) });
      },
      ...((await readBundles?.(signal)) ?? {
        bundles: [bundle],
        paths: [],
        trust: (text) => folder.write({ [BUNDLE_FILE]: text }),
      }),
    };
  },
  note: () => Promise.resolve(),
});

const readAll = async (path: string): Promise<CertificateFiles> => {
  const texts = await Promise.all(NAMES.map(async (name) => [name, await textOf(join(path, name))] as const));
  return Object.fromEntries(texts.filter((entry): entry is [string, string] => entry[1] !== undefined));
};

const textOf = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
};

const writeAll = async (path: string, files: Readonly<Record<string, string | undefined>>): Promise<void> => {
  await mkdir(path, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    const file = join(path, name);
    if (text === undefined) {
      await rm(file, { force: true });
      continue;
    }
    const isPublic = name.endsWith(".crt");
    await writeFile(`${file}.new`, text, { mode: isPublic ? 0o644 : 0o600 });
    await chmod(`${file}.new`, isPublic ? 0o644 : 0o600); // it may have been there
    await rename(`${file}.new`, file);
  }
};

const mended = async <T>(path: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw new UsageError(`--out ${path}: ${messageOf(error)}; name a folder of yours`);
  }
};
