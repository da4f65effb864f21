import { serverPlaces } from "./keyvalue.ts";
import {
  byDefault,
  elsewhere,
  type Place,
  readAddress,
  type Slot,
  type Span,
  trim,
  unknown,
  upTo,
  written,
} from "./place.ts";

const slice = (text: string, { start, end }: Span): string => text.slice(start, end);

/** `user:password@host:port/path` without a scheme: read as an address only when a port is written (else: an e-mail, a CIDR). */
const readItem = (text: string, item: Span): { host: Span; port?: Span } | undefined => {
  const body = upTo(text, item, /\//);
  const user = slice(text, body).lastIndexOf("@");
  const found = readAddress(text, { start: body.start + user + 1, end: body.end });
  return found?.port === undefined && (user >= 0 || body.end < item.end) ? undefined : found;
};

/**
 * A host, `host:port`, a list of them (Kafka, MongoDB, Zookeeper …), or StackExchange.Redis' list of hosts and options.
 * Hosts that white space alone separates are read as addresses only when a port is written: it may be a sentence.
 */
export const listPlaces = (text: string): Place[] => {
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
    return serverPlaces(text, trim(text, { start: 0, end: text.length }), () => elsewhere);
  }
  const spaced = items.some((item, at) => at > 0 && /^\s*$/.test(text.slice(items[at - 1]?.end, item.start)));
  const found = hosts.flatMap((item) => readItem(text, item) ?? []);
  const withPorts = found.some(({ port }) => port !== undefined);
  const ssl = options.some((item) => /^ssl=true$/i.test(slice(text, item)));
  const without = (host: Span): Slot => {
    if (options.length > 0) return byDefault(ssl ? 6380 : 6379, host.end, ":");
    return withPorts ? unknown(host.end, ":") : elsewhere;
  };
  return found
    .filter(({ port }) => port !== undefined || !spaced)
    .map(({ host, port }) => ({ host, slot: port === undefined ? without(host) : written(port) }));
};
