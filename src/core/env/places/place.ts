/** Where something stands in a string: from `start` up to, not including, `end`. */
export type Span = { readonly start: number; readonly end: number };

/**
 * How a client finds the port of a place:
 *
 * - `written`: the port stands beside the host.
 * - `default`: no port is written, and the client has a default. There are several where the string fits several
 *   clients, likeliest first.
 * - `unknown`: no port is written, and the default is not known.
 * - `elsewhere`: the string is a host alone, and another env holds the port.
 * - `instance`: a SQL Server instance is named, whose port the client asks of the host over UDP.
 */
export type Slot =
  | { readonly kind: "written"; readonly span: Span }
  | { readonly kind: "default"; readonly ports: readonly number[] }
  | { readonly kind: "unknown" | "elsewhere" | "instance" };

/** A host in a string, at a position where a client reads the server to connect to. */
export type Place = {
  /** The host, its IPv6 brackets included. */
  readonly host: Span;
  readonly slot: Slot;
  /**
   * `srv`: the host is looked up by SRV records. `numeric`: the client takes an IP address only here. `udp`: not TCP.
   */
  readonly limit?: "srv" | "numeric" | "udp";
};

/** The result of a reader: the hosts of a string, and the stretches in which the text of a host is not a host. */
export type Places = {
  readonly places: readonly Place[];
  /** `secret`: a user, a password or another value. `tail`: a URL's path, query and fragment. In order. */
  readonly guards: readonly (Span & { readonly kind: "secret" | "tail" })[];
};

export const written = (span: Span): Slot => ({ kind: "written", span });
export const byDefault = (...ports: readonly number[]): Slot => ({ kind: "default", ports });
export const elsewhere: Slot = { kind: "elsewhere" };
export const unknown: Slot = { kind: "unknown" };
export const instance: Slot = { kind: "instance" };

/** A span without the white space at its ends. */
export const trim = (text: string, { start, end }: Span): Span => {
  const inner = text.slice(start, end);
  const left = start + inner.length - inner.trimStart().length;
  return { start: left, end: Math.max(left, start + inner.trimEnd().length) };
};

/** The parts of a span between single separators. */
export const split = (text: string, { start, end }: Span, separator: string | RegExp): Span[] => {
  const spans: Span[] = [];
  let at = start;
  for (const part of text.slice(start, end).split(separator)) {
    spans.push({ start: at, end: at + part.length });
    at += part.length + 1;
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
