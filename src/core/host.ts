import ipaddr from "ipaddr.js";
import { didYouMean } from "./message.ts";

/** A host in its one canonical spelling, or why the text is none and, where one is near, the valid form. */
export type HostReading =
  | { readonly kind: "ipv4" | "ipv6" | "name"; readonly host: string }
  | { readonly kind: "invalid"; readonly why: string };

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** Four numbers up to 255 without leading zeros. */
const DOTTED_QUAD = /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/;
const NUMBER = /^(\d+|0x[0-9a-f]*)$/;

/** `of`: what a hint is made from. */
const invalid = (why: string, of = "", nearest?: string): HostReading => ({
  kind: "invalid",
  why: `${why}${didYouMean(of, nearest)}`,
});

/**
 * A host as the WHATWG URL host parser reads it: it folds full-width digits, punycodes, and reads octal and short IPv4.
 */
const asUrlHost = (text: string): string | undefined => {
  const url = `http://${text}/`;
  return /^[^\s/?#@:\\[\]]+$/.test(text) && URL.canParse(url) ? new URL(url).hostname : undefined;
};

const readIPv6 = (text: string): HostReading => {
  if (text.includes("%"))
    return invalid("a zone id names an interface of one machine only", text, text.replace(/%.*/, ""));
  if (!ipaddr.IPv6.isValid(text)) return invalid("not an IPv6 address");
  const parsed = ipaddr.IPv6.parse(text);
  if (parsed.isIPv4MappedAddress())
    return invalid("an IPv4-mapped IPv6 address", text, parsed.toIPv4Address().toString());
  return { kind: "ipv6", host: parsed.toString() };
};

const readName = (text: string): HostReading => {
  const name = text.toLowerCase().replace(/\.$/, "");
  if (NUMBER.test(name.replace(/^.*\./, ""))) {
    return invalid("not an IPv4 address of four decimal numbers without leading zeros", text, asUrlHost(name));
  }
  if (name.length > 253) return invalid("longer than the 253 characters of a DNS name");
  const bad = name.split(".").find((label) => !LABEL.test(label));
  if (bad === undefined) return { kind: "name", host: name };
  const ascii = /[^\x20-\x7e]/.test(text) ? asUrlHost(text) : undefined;
  return invalid(
    "not an IP address and not a DNS name (letters, digits and - in labels of 1-63, separated by dots)",
    text,
    ascii,
  );
};

/**
 * Reads one of three forms:
 *
 * - an IPv4 address, dotted decimal only: octal, hexadecimal and short forms mean different hosts to different programs
 * - an IPv6 address without brackets, canonical per RFC 5952
 * - a DNS name (RFC 1123), lower case, without one trailing dot
 *
 * These grammars hold no character with a meaning for a shell or socat.
 */
export const readHost = (text: string): HostReading => {
  if (text === "") return invalid("empty");
  if (text.includes(":")) return readIPv6(text);
  if (DOTTED_QUAD.test(text)) return { kind: "ipv4", host: text };
  return readName(text);
};

/** Whether a canonical host is an IP address. */
export const isIpHost = (host: string): boolean => host.includes(":") || DOTTED_QUAD.test(host);

/** A canonical IP address. ipaddr.js's own parser tries octal, hexadecimal and short forms first. */
export const parseAddress = (host: string): ipaddr.IPv4 | ipaddr.IPv6 =>
  host.includes(":") ? ipaddr.IPv6.parse(host) : new ipaddr.IPv4(host.split(".").map(Number));

/** The last three wrap an IPv4 address in a way that only a translator or a relay undoes: no server's own address. */
const FORBIDDEN_RANGES = new Set([
  "unspecified",
  "broadcast",
  "multicast",
  "linkLocal",
  "loopback",
  "rfc6145",
  "6to4",
  "teredo",
]);
/** Blocks that ipaddr.js counts among others: IETF (Oracle's metadata), reserved, IPv4-compatible, site-local. */
const FORBIDDEN_BLOCKS = ["192.0.0.0/24", "240.0.0.0/4", "::/96", "fec0::/10"].map((text) => ipaddr.parseCIDR(text));
/** Metadata, DNS and credential services of EC2, Google, Alibaba and Azure, which no range covers. */
const METADATA = new Set([
  "fd00:ec2::23",
  "fd00:ec2::253",
  "fd00:ec2::254",
  "fd20:ce::254",
  "100.100.100.200",
  "168.63.129.16",
  "instance-data.ec2.internal",
  "metadata.goog",
  "metadata.google.internal",
]);

const forbiddenAddress = (host: string): string | undefined => {
  const parsed = parseAddress(host);
  const range = parsed.range();
  if (FORBIDDEN_RANGES.has(range)) return `${host} is ${range === "linkLocal" ? "link-local" : range}`;
  const block = FORBIDDEN_BLOCKS.find(([base, bits]) => base.kind() === parsed.kind() && parsed.match(base, bits));
  if (block !== undefined) return `${host} is in ${block.join("/")}, where no private server is`;
  if (parsed instanceof ipaddr.IPv6 && range === "rfc6052") {
    return forbiddenAddress(ipaddr.fromByteArray(parsed.toByteArray().slice(12)).toString());
  }
  return undefined;
};

/**
 * `<service>.<namespace>.svc.<domain>` and `<pod>.<service>.<namespace>.svc.<domain>`: Kubernetes' DNS schema, for any
 * domain.
 */
const forbiddenName = (name: string): string | undefined => {
  const labels = name.split(".");
  if (labels.at(-1) === "localhost") return `${name} is loopback`;
  if (labels.length === 1) return `${name} has one label, as a Service of the cluster has (write the full name)`;
  const isClusters =
    labels.at(-1) === "svc" ||
    name.endsWith(".cluster.local") ||
    ["svc", "pod"].includes(labels[2] ?? "") ||
    labels[3] === "svc" ||
    name === "kubernetes.default";
  return isClusters ? `${name} is a name of the cluster's own` : undefined;
};

/** Why a canonical host is never a target under any config; undefined when it may be one. */
export const forbiddenHost = (host: string): string | undefined => {
  if (METADATA.has(host)) return `${host} is a cloud's metadata service`;
  return isIpHost(host) ? forbiddenAddress(host) : forbiddenName(host);
};
