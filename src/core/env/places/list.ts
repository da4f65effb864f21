import { serverPlaces } from "./keyvalue.ts";
import {
  byDefault,
  elsewhere,
  type Places,
  readAddress,
  type Slot,
  type Span,
  trim,
  unknown,
  upTo,
  written,
} from "./place.ts";

const slice = (text: string, { start, end }: Span): string => text.slice(start, end);

/**
 * `user:password@host:port/path` without a scheme: read as an address only when a port is written (else: an e-mail, a
 * CIDR).
 */
const readItem = (text: string, item: Span): { host: Span; port?: Span; user?: Span } | undefined => {
  const body = upTo(text, item, /\//);
  const at = slice(text, body).lastIndexOf("@");
  const found = readAddress(text, { start: body.start + at + 1, end: body.end });
  if (found === undefined || (found.port === undefined && (at >= 0 || body.end < item.end))) return undefined;
  return at < 0 ? found : { ...found, user: { start: body.start, end: body.start + at } };
};

/**
 * A host, `host:port`, a list of them (Kafka, MongoDB, Zookeeper …), or StackExchange.Redis' list of hosts and options.
 * Hosts that white space alone separates are read as addresses only when a port is written: it may be a sentence.
 */
export const listPlaces = (text: string): Places => {
  const items = [...text.matchAll(/[^,;\s]+/g)].map((match) => ({
    start: match.index,
    end: match.index + match[0].length,
  }));
  const options = items.filter((item) => slice(text, item).includes("="));
  const hosts = items.filter((item) => !slice(text, item).includes("="));
  if (
    options.length === 0 &&
    (/^\s*(tcp|admin):/i.test(text) || text.includes("\\") || /^[^,:]*,\s*\d+\s*$/.test(text))
  ) {
    const places = serverPlaces(text, trim(text, { start: 0, end: text.length }), () => elsewhere);
    return { places, guards: [] };
  }
  const isSpaced = items.some((item, at) => at > 0 && /^\s*$/.test(text.slice(items[at - 1]?.end, item.start)));
  const found = hosts.flatMap((item) => readItem(text, item) ?? []);
  const hasPorts = found.some(({ port }) => port !== undefined);
  const isSsl = options.some((item) => /^ssl=true$/i.test(slice(text, item)));
  const without = options.length > 0 ? byDefault(isSsl ? 6380 : 6379) : hasPorts ? unknown : elsewhere;
  const places = found
    .filter(({ port }) => port !== undefined || !isSpaced)
    .map(({ host, port }): { host: Span; slot: Slot } => ({
      host,
      slot: port === undefined ? without : written(port),
    }));
  const secrets = [...options, ...found.flatMap(({ user }) => user ?? [])];
  const guards = places.length === 0 ? [] : secrets.map((span) => ({ ...span, kind: "secret" as const }));
  return { places, guards: guards.sort((a, b) => a.start - b.start) };
};
