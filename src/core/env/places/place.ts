/** Where something stands in a string: from `start` up to, not including, `end`. */
export type Span = { readonly start: number; readonly end: number };

/**
 * Where a port stands; `start === end`: none is written, and `lead` goes before one that is put in. `isList`: it may hold a
 * port for each host.
 */
export type Cell = Span & { readonly lead: string; readonly isList?: boolean };

/** A port that a client takes where none is written. */
export type Choice = { readonly port: number; readonly cell: Cell };

/**
 * How a client finds the port of a place: it is `written`; none is and the client has a `default` (several when the
 * string does not tell which client, likeliest first); none is and what the client does is `unknown`; or the string is
 * a host alone, and the port is kept `elsewhere`.
 */
export type Slot =
  | { readonly kind: "written"; readonly cell: Cell }
  | { readonly kind: "default"; readonly choices: readonly [Choice, ...Choice[]] }
  | { readonly kind: "unknown"; readonly cell: Cell }
  | { readonly kind: "elsewhere" };

/** A host in a string, at a position where a client reads the server to connect to. */
export type Place = {
  /** The host, its IPv6 brackets included. */
  readonly host: Span;
  readonly slot: Slot;
  /** `srv`: the host is looked up by SRV records. `numeric`: the client takes an IP address only here. */
  readonly limit?: "srv" | "numeric";
};

export const written = (span: Span, isList = false): Slot => ({ kind: "written", cell: { ...span, lead: "", isList } });
export const unknown = (at: number, lead: string): Slot => ({ kind: "unknown", cell: { start: at, end: at, lead } });
export const byDefault = (port: number, at: number, lead: string, isList = false): Slot => ({
  kind: "default",
  choices: [{ port, cell: { start: at, end: at, lead, isList } }],
});
export const elsewhere: Slot = { kind: "elsewhere" };

/** A span without the white space at its ends. */
export const trim = (text: string, { start, end }: Span): Span => {
  const inner = text.slice(start, end);
  const left = start + inner.length - inner.trimStart().length;
  return { start: left, end: Math.max(left, start + inner.trimEnd().length) };
};

/** The parts of a span between single separators. */
export const split = (text: string, { start, end }: Span, separator: string): Span[] => {
  const spans: Span[] = [];
  let at = start;
  for (const part of text.slice(start, end).split(separator)) {
    spans.push({ start: at, end: at + part.length });
    at += part.length + separator.length;
  }
  return spans;
};

/** The span up to the first character of `stops`. */
export const upTo = (text: string, { start, end }: Span, stops: RegExp): Span => {
  const stop = text.slice(start, end).search(stops);
  return { start, end: stop < 0 ? end : start + stop };
};

const PORT_LIKE = /^(\d{1,5}|\$\(.*\))$/;

/** True for digits, and for a `$(VAR)` that stands where a port would. */
export const isPortLike = (text: string): boolean => PORT_LIKE.test(text);

/** Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address; undefined: something else. */
export const readAddress = (text: string, within: Span): { host: Span; port?: Span } | undefined => {
  const { start, end } = trim(text, within);
  const item = text.slice(start, end);
  if (item === "") return undefined;
  const bracket = item.startsWith("[") ? item.indexOf("]") : 0;
  const colon = item.indexOf(":", bracket);
  if (colon < 0 || (bracket === 0 && item.indexOf(":", colon + 1) >= 0)) return { host: { start, end } };
  const port = { start: start + colon + 1, end };
  return isPortLike(text.slice(port.start, end)) ? { host: { start, end: start + colon }, port } : undefined;
};
