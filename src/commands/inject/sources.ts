/** The texts that the commands on manifests read: files, folders, standard input, kustomizations. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { messageOf } from "../../core/message.ts";
import { ManifestError } from "../../manifests/document.ts";
import { inputName, UsageError } from "../options/options.ts";

export type SourceOptions = {
  /** Files and folders; `-` is standard input. */
  readonly file: readonly string[];
  /** Folders with a kustomization. */
  readonly kustomize: readonly string[];
  /** Folders with all that is below them. */
  readonly recursive: boolean;
};

/** A text by the name that messages call it. Reading it throws a ManifestError when it cannot be read to its end. */
export type ManifestSource = { readonly name: string; readonly chunks: AsyncIterable<string> };

/**
 * The sources in the order of the options, folders in the order of their names. Throws a UsageError for a path that is
 * not there.
 */
export const openSources = async ({
  file,
  kustomize,
  recursive,
}: SourceOptions): Promise<readonly ManifestSource[]> => {
  if (file.length + kustomize.length === 0) throw new UsageError("no manifests: name them with -f or -k");
  const paths = await Promise.all(file.map((path) => filesAt(path, recursive)));
  return [
    ...paths.flat().map((path) => ({
      name: inputName(path),
      chunks: decoded(path === "-" ? process.stdin : createReadStreamLater(path), inputName(path)),
    })),
    ...kustomize.map((folder) => ({ name: `kustomization ${folder}`, chunks: kustomized(folder) })),
  ];
};

const MANIFEST = /\.(ya?ml|json)$/;

const filesAt = async (path: string, recursive: boolean): Promise<readonly string[]> => {
  if (path === "-") return [path];
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const found = await readdir(path, { recursive, withFileTypes: true });
    const files = found
      .filter((entry) => !entry.isDirectory() && MANIFEST.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name));
    if (files.length > 0) return files.sort();
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${messageOf(error)}; check the path, or use - for standard input`);
  }
  const more = recursive ? "" : "; -R reads the folders in it too";
  throw new UsageError(`${path} has no manifests (*.yaml, *.yml, *.json)${more}`);
};

/** Opened when it is read: a folder may have more files than a process may open. */
async function* createReadStreamLater(path: string): AsyncGenerator<Uint8Array> {
  for await (const chunk of createReadStream(path)) yield chunk as Uint8Array;
}

/** Strict about UTF-8: what passes through must come out as it went in. */
async function* decoded(bytes: AsyncIterable<Uint8Array | string>, name: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    for await (const chunk of bytes) yield decoder.decode(Buffer.from(chunk), { stream: true });
    yield decoder.decode();
  } catch (error) {
    const isEncoding =
      error instanceof TypeError && "code" in error && error.code === "ERR_ENCODING_INVALID_ENCODED_DATA";
    const why = isEncoding ? "it is not UTF-8; convert it (iconv -t UTF-8)" : messageOf(error);
    throw new ManifestError(`cannot read ${name}: ${why}`, { cause: error });
  }
}

const BUILDERS = [
  ["kubectl", "kustomize"],
  ["kustomize", "build"],
] as const;

/** The manifests that kubectl or kustomize builds of a folder, by the program that is installed. */
async function* kustomized(folder: string): AsyncGenerator<string> {
  for (const [program, verb] of BUILDERS) {
    const child = spawn(program, [verb, folder], { stdio: ["ignore", "pipe", "pipe"] });
    const said = textOf(child.stderr);
    const ended = once(child, "close") as Promise<[number | null]>;
    const isThere = await once(child, "spawn").then(
      () => true,
      () => false,
    );
    if (!isThere) {
      await ended.catch(() => undefined);
      continue;
    }
    yield* decoded(child.stdout, `${program} ${verb} ${folder}`);
    const [code] = await ended;
    if (code === 0) return;
    throw new ManifestError(`${program} ${verb} ${folder} ended with ${code}: ${(await said).trim()}`);
  }
  throw new UsageError(
    `-k ${folder}: neither kubectl nor kustomize is in PATH; install one, or pipe its output into -f -`,
  );
}
