/**
 * Reads the part of the Dockerfile language that the project's Dockerfile uses, and throws at any other. So a build
 * without an engine gives the image of an engine, or none.
 */
export type Step =
  | { readonly kind: "RUN"; readonly command: string }
  | { readonly kind: "COPY"; readonly from?: string; readonly sources: readonly string[]; readonly to: string }
  | { readonly kind: "ENV"; readonly values: Readonly<Record<string, string>> }
  | { readonly kind: "WORKDIR" | "USER"; readonly value: string }
  | { readonly kind: "EXPOSE"; readonly ports: readonly string[] }
  | { readonly kind: "ENTRYPOINT" | "CMD"; readonly args: readonly string[] };

export type BuildStage = {
  readonly base: string;
  readonly name: string | undefined;
  /** `--platform=$BUILDPLATFORM`: of the machine that builds, for an image of any platform. */
  readonly isOfBuilder: boolean;
  readonly steps: readonly Step[];
};

/** The stages in their order, build arguments replaced by their defaults. */
export const readDockerfile = (text: string): readonly BuildStage[] => {
  const args = new Map<string, string>();
  const stages: (BuildStage & { readonly steps: Step[] })[] = [];
  for (const line of linesOf(text)) {
    const [, word = "", rest = ""] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    const stage = stages.at(-1);
    if (word === "ARG" && stage === undefined) {
      const [, name = "", value = ""] = /^(\w+)=(\S+)$/.exec(rest) ?? unknown(line);
      args.set(name, value);
    } else if (word === "FROM") {
      const [, platform, base = "", name] =
        /^(--platform=\$BUILDPLATFORM )?([^-]\S*)(?: AS (\S+))?$/.exec(rest) ?? unknown(line);
      stages.push({
        base: base.replace(/\$\{(\w+)\}/g, (_, name: string) => args.get(name) ?? unknown(line)),
        name,
        isOfBuilder: platform !== undefined,
        steps: [],
      });
    } else if (stage === undefined || rest.includes("$")) unknown(line);
    else stage.steps.push(readStep(word, rest, line));
  }
  return stages;
};

/** Without comments, lines that end in a backslash joined. */
const linesOf = (text: string): readonly string[] =>
  text
    .split("\n")
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join("\n")
    .replace(/\\\n\s*/g, " ")
    .split("\n");

const readStep = (word: string, rest: string, line: string): Step => {
  switch (word) {
    case "RUN":
      return rest.startsWith("-") || rest.startsWith("[") ? unknown(line) : { kind: word, command: rest };
    case "COPY": {
      const [, from, paths = ""] = /^(?:--from=(\S+) )?([^-[].*)$/.exec(rest) ?? unknown(line);
      const sources = paths.split(/\s+/);
      const to = sources.pop() ?? unknown(line);
      return { kind: word, sources, to, ...(from !== undefined && { from }) };
    }
    case "ENV":
      return { kind: word, values: Object.fromEntries(rest.split(/\s+/).map((pair) => pairOf(pair, line))) };
    case "WORKDIR":
    case "USER":
      return { kind: word, value: rest };
    case "EXPOSE":
      return { kind: word, ports: rest.split(/\s+/) };
    case "ENTRYPOINT":
    case "CMD":
      return { kind: word, args: rest.startsWith("[") ? (JSON.parse(rest) as string[]) : unknown(line) };
    default:
      return unknown(line);
  }
};

const pairOf = (text: string, line: string): readonly [string, string] => {
  const [, name = "", value = ""] = /^(\w+)=([^\s"'\\]*)$/.exec(text) ?? unknown(line);
  return [name, value];
};

const unknown = (line: string): never => {
  throw new Error(`Dockerfile: this line is not understood here: ${line}`);
};
