import { findPlaces } from "./places/find.ts";
import type { Place, Places, Span } from "./places/place.ts";
import { canonicalHost, isInRange, type KnownHosts, type Word } from "./known.ts";
import { charge, LONGEST_VALUE, type Work } from "./work.ts";

/** Why a host that stands in a text is left as it is. */
export type LeftReason =
  | "path"
  | "network"
  | "range"
  | "value"
  | "udp"
  | "share"
  | "hosts-line"
  | "numeric"
  | "srv"
  | "joined"
  | "split"
  | "long";

/**
 * How a host is read where it stands. `port`: with this port beside it. `alone`: the text is the host, whose port
 * another env may hold. `defaults`: no port is written, and a client takes one of these. `unread`: its port is not
 * read; `isKnown` where the form is, so that the host is certainly one. `instance`: a SQL Server instance, whose port
 * is asked over UDP.
 */
export type How =
  | { readonly kind: "port"; readonly port: number }
  | { readonly kind: "alone" | "unread" | "instance" }
  | { readonly kind: "defaults"; readonly ports: readonly number[] }
  | { readonly kind: "left"; readonly why: LeftReason };

/** A known host in a text. */
export type Sighting = Word & { readonly how: How };

/** A reader makes places of a text: at worst of every second character. */
const READER = 400;

const slice = (text: string, { start, end }: Span): string => text.slice(start, end);
const UNREAD: How = { kind: "unread" };
const left = (why: LeftReason): How => ({ kind: "left", why });

const placeHow = (text: string, { slot, limit }: Place): How => {
  if (limit !== undefined) return left(limit);
  switch (slot.kind) {
    case "written": {
      const port = slice(text, slot.span);
      return /^\d{1,5}$/.test(port) ? { kind: "port", port: Number(port) } : UNREAD;
    }
    case "default":
      return slot.ports.length === 1
        ? { kind: "port", port: slot.ports[0] as number }
        : { kind: "defaults", ports: slot.ports };
    case "elsewhere":
      return { kind: "alone" };
    case "unknown":
      return UNREAD;
    case "instance":
      return { kind: "instance" };
  }
};

const PORT_BESIDE = /^(\]?:|%3a|,\s*|%2c|\(|\s+)(\d{1,5})(?![\w.]|:\w)/i;

/**
 * The port right behind a word. Behind a colon a number is a port; behind a comma, a bracket or a blank where a target
 * has it.
 */
const portBeside = (behind: string, ports: ReadonlySet<number>): number | undefined => {
  const [, sign = "", digits] = PORT_BESIDE.exec(behind) ?? [];
  if (digits === undefined) return undefined;
  const port = Number(digits);
  return /^(\]?:|%3a)$/i.test(sign) || ports.has(port) ? port : undefined;
};

/** A key in front whose value is a secret, in any syntax. */
const SECRET_KEY = /(passw?(or)?d?|pwd|secret|token)\\?["']?\s*[:=]>?\s*\\?["']?$/i;

/** Whether a URL whose servers are found by SRV records names the host that stands at `start`. */
export const asksForSrv = (text: string, start: number): boolean =>
  /\+srv:\/\/[^\s/"'\\]*$/i.test(text.slice(Math.max(0, start - 256), start));

/** A host in a form that no reader knows. */
const unreadHow = (text: string, word: Word, ports: ReadonlySet<number>): How => {
  const before = text.slice(Math.max(0, word.start - 48), word.start);
  const behind = text.slice(word.end, word.end + 24);
  const port = portBeside(behind, ports);
  if (/udp[46]?:\/\/$/i.test(before)) return left("udp");
  if (asksForSrv(text, word.start)) return left("srv");
  if (/(^|[^\\])\\\\(\\\\)?$/.test(before) && behind.startsWith("\\")) return left("share");
  if (/(^|[^/\\]|\/\/)(\/|\\\/)$/.test(before) && port === undefined && !/^[,(]/.test(behind)) return left("path");
  if (/^\\?\/\d{1,3}(?![\w.])/.test(behind) && !/([/@]|%2f|%40)$/i.test(before)) return left("network");
  if (/^[\d.:a-f]+$/.test(word.host) && isInRange(text, word)) return left("range");
  if (/(^|\n)[^\S\n]*$/.test(before) && /^[^\S\n]+[A-Za-z]/.test(behind) && /^[\d.:a-f]+$/.test(word.host))
    return left("hosts-line");
  if (SECRET_KEY.test(before)) return left("value");
  // `5432:10.0.0.6:5432` is a tunnel of another program: there the port belongs to the whole.
  return port === undefined || /\d:$/.test(before) ? UNREAD : { kind: "port", port };
};

type Guard = Places["guards"][number];

/** A URL's tail may name a server of its own where the URL's is no target: `?replica=host:port`, `dns:///host:port`. */
const guardedHow = (text: string, word: Word, { kind }: Guard, isServed: boolean, ports: ReadonlySet<number>): How => {
  const behind = text.slice(word.end, word.end + 24);
  const port = portBeside(behind, ports);
  const isEndpoint =
    port !== undefined &&
    ports.has(port) &&
    /([@=]|%3d|%40|:\/\/\/)$/i.test(text.slice(Math.max(0, word.start - 4), word.start));
  if (kind === "tail" && !isServed && isEndpoint) return { kind: "port", port };
  return left(kind === "secret" ? "value" : "path");
};

/** The known hosts of a text, in its order, and how each is read. */
export const sightingsIn = (text: string, known: KnownHosts, work: Work): readonly Sighting[] => {
  const words = known.words(text, work);
  if (words.length === 0 && known.aliases.size === 0) return [];
  const isRead = text.length <= LONGEST_VALUE && charge(work, text.length * READER);
  const { places, guards } = isRead ? findPlaces(text) : { places: [], guards: [] };
  const found = new Map<number, Sighting>();
  for (const place of places) {
    const spelled = canonicalHost(slice(text, place.host)) ?? "";
    const host = known.aliases.get(spelled) ?? spelled;
    if (known.ports.has(host)) found.set(place.host.start, { ...place.host, host, how: placeHow(text, place) });
  }
  const isServed = found.size > 0;
  const zones = guards.length > 1 ? guards.toSorted((a, b) => a.start - b.start) : guards;
  let zone = 0;
  for (const word of words) {
    const host = known.aliases.get(word.host) ?? word.host;
    if (found.get(word.start)?.end === word.end) continue;
    while (zone < zones.length && (zones[zone] as Guard).end <= word.start) zone += 1;
    const around = zones[zone];
    const ports = known.ports.get(host) as ReadonlySet<number>;
    const how =
      around !== undefined && around.start <= word.start
        ? guardedHow(text, word, around, isServed, ports)
        : unreadHow(text, word, ports);
    found.set(word.start, { ...word, host, how });
  }
  return [...found.values()].sort((a, b) => a.start - b.start);
};
