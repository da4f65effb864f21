import { closest, distance } from "fastest-levenshtein";
import * as z from "zod";
import { didYouMean, mayHoldPassword, plain } from "./message.ts";

/** Problems of one list or map that a message names. */
const MOST_PROBLEMS = 3;

/**
 * An object whose unknown keys are errors that name the nearest known key. `hints` says more about a key that people
 * try for a good reason.
 */
export const strict = <Shape extends z.ZodRawShape>(shape: Shape, hints: Readonly<Record<string, string>> = {}) =>
  z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== "unrecognized_keys") return "not a map of keys and values";
      const texts = issue.keys.slice(0, MOST_PROBLEMS).map((key) => {
        const hint = Object.hasOwn(hints, key) ? `; ${hints[key]}` : didYouMean(key, nearWord(key, Object.keys(shape)));
        return `unknown key ${quote(key)}${hint}`;
      });
      const more = issue.keys.length - texts.length;
      return [...texts, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
    },
  });

/** The nearest known word; none where more than half of its letters would differ. */
export const nearWord = (text: string, words: readonly string[]): string | undefined => {
  if (words.length === 0) return undefined;
  const nearest = closest(text, words);
  return distance(text, nearest) <= Math.max(text.length, nearest.length) / 2 ? nearest : undefined;
};

/**
 * A list schema that ends with the first few problems. zod's own makes a problem of each bad item: half a kilobyte for
 * ten bytes.
 */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.array(z.unknown(), { error: "not a list" }).transform((values, context): z.output<Item>[] => {
    let bad = 0;
    const read: z.output<Item>[] = [];
    for (const [index, value] of values.entries()) {
      const { data, error } = item.safeParse(value);
      if (error === undefined) read.push(data);
      else {
        bad += 1;
        for (const { path, message } of error.issues)
          context.addIssue({ code: "custom", path: [index, ...path], message });
      }
      if (bad === MOST_PROBLEMS) break;
    }
    return read;
  });

/** A map of texts, as labels and annotations are; as `listOf` it ends with the first few problems. */
export const textMap = z.custom<Readonly<Record<string, string>>>().superRefine((map: unknown, context) => {
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    context.addIssue("not a map of texts");
    return;
  }
  const bad = Object.keys(map).filter((key) => typeof (map as Record<string, unknown>)[key] !== "string");
  for (const key of bad.slice(0, MOST_PROBLEMS))
    context.addIssue({ code: "custom", path: [key], message: "not a text" });
});

/** A port as a number, or as digits (Helm and annotations quote numbers). */
export const port = z
  .union(
    [
      z.number(),
      z
        .string()
        .regex(/^[1-9]\d{0,4}$/)
        .transform(Number),
    ],
    { error: notPort },
  )
  .refine((value) => Number.isInteger(value) && value >= 1 && value <= 65535, { error: notPort });

function notPort(issue: { readonly input?: unknown }): string {
  return issue.input === undefined ? "is missing: a port (1-65535)" : `${quote(issue.input)} is not a port (1-65535)`;
}

/**
 * DNS label that starts with a letter (RFC 1035): usable as a port's name, in a label's key and, upper-cased, as an
 * env's name.
 */
export const dnsLabel = z.string({ error: "not a name" }).superRefine((value, context) => {
  if (/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(value)) return;
  const nearest = value
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+/, "")
    .slice(0, 63)
    .replace(/-+$/, "");
  const hint = didYouMean(value, nearest === "" ? undefined : nearest);
  context.addIssue(
    `${quote(value)} is not a name: a letter, then letters, digits and -, at most 63, all lower case${hint}`,
  );
});

/**
 * A tunnel's name is an interface's, at most 15 characters (IFNAMSIZ), and with `.conf` a Secret's key; none that the
 * pod has already.
 */
export const tunnelName = z
  .string({ error: "not the name of a tunnel" })
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/, {
    error: (issue) => `${quote(issue.input)} is not a tunnel's name: at most 15 of A-Z a-z 0-9 _ . -`,
  })
  .refine((name) => !["lo", "eth0", "all", "default"].includes(name), {
    error: (issue) =>
      `${quote(issue.input)} is taken in every pod's network: give the tunnel another name, such as wg0`,
  });

/** One of the given words. */
export const oneOf = <const Words extends readonly [string, ...string[]]>(...words: Words) =>
  z.enum(words, { error: (issue) => `${quote(issue.input)} is none of ${words.join(", ")}` });

/**
 * A value as it may be shown to a person or a log: one line, printable ASCII, at most 60 characters. Hidden where it
 * looks as if a password were in it (a URL with credentials pasted where a host belongs).
 */
export function quote(value: unknown): string {
  const text = JSON.stringify(value ?? null);
  if (mayHoldPassword(text)) return "(hidden: it may hold a password)";
  const printable = text.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return printable.length <= 60 ? printable : `${printable.slice(0, 56)}…"`;
}

const pathText = (path: readonly PropertyKey[]): string =>
  path.map((part) => (typeof part === "number" ? `[${part}]` : `.${plain(String(part), 60)}`)).join("");

/** Each issue as `<root><path>: <what is wrong>`, at most `most` of them. */
export const issueTexts = (root: string, error: z.ZodError, most = 10): readonly string[] => {
  const texts = error.issues.map((issue) => {
    const at = `${root}${pathText(issue.path)}`.replace(/^\./, "");
    return at === "" ? issue.message : `${at}: ${issue.message}`;
  });
  return texts.length <= most ? texts : [...texts.slice(0, most), `and ${texts.length - most} more`];
};

/** A JSON text's value; undefined, which no schema here takes, when it is not JSON. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/**
 * How a schema reads that is used a few times: as it is. By default zod compiles it first, which pays after hundreds of
 * readings.
 */
export const SELDOM = { jitless: true } as const;
