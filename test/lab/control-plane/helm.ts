// Helm as functions, on the chart of this repository.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseAllDocuments } from "yaml";
import { findPrograms } from "./programs.ts";
import type { Result } from "./kubectl.ts";
import { root } from "../../program.ts";

export const CHART = join(root, "deploy/helm/flowgen-gateway-webhook");
/** The release and its namespace in all documentation. */
export const RELEASE = "flowgen-gateway-webhook";

/** An object as it stands in a manifest. */
export type RenderedObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
};

export type Helm = (
  args: readonly string[],
  options?: { readonly input?: string; readonly env?: NodeJS.ProcessEnv },
) => Promise<Result>;

/** Returns a function that runs helm; it keeps its own files below `home` and reads nothing of the caller's. */
export const findHelm = async (home: string): Promise<Helm> => {
  const program = join(await findPrograms(["helm"]), "helm");
  return async (args, { input = "", env = {} } = {}) => {
    const child = spawn(program, args, { env: { PATH: process.env["PATH"], HOME: home, ...env }, cwd: root });
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    const ended = once(child, "close") as Promise<[number | null]>;
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { code, stdout, stderr };
  };
};

/** The output of `helm template` for these values, under the documented names. Throws with Helm's reason. */
export const templateText = async (helm: Helm, values: object, args: readonly string[] = []): Promise<string> => {
  const { code, stdout, stderr } = await helm(
    ["template", RELEASE, CHART, `--namespace=${RELEASE}`, "--values=-", "--no-hooks", ...args],
    { input: JSON.stringify(values) },
  );
  if (code !== 0) throw new Error(stderr);
  return stdout;
};

export const parseManifests = (yaml: string): readonly RenderedObject[] =>
  parseAllDocuments(yaml).flatMap((document) => {
    const value = document.toJS() as RenderedObject | null;
    return value === null ? [] : [value];
  });

/** The objects that the chart makes of these values. */
export const template = async (helm: Helm, values: object): Promise<readonly RenderedObject[]> =>
  parseManifests(await templateText(helm, values));
