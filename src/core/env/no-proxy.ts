import ipaddr from "ipaddr.js";
import { charge, LONGEST_VALUE, type Work } from "./work.ts";
import type { EnvVar } from "../pod.ts";
import type { Reached } from "../target.ts";

export const isNoProxy = (name: string): boolean => name.length === 8 && /^no_proxy$/i.test(name);

const inNetwork = (host: string, entry: string): boolean => {
  if (!entry.includes("/") || !ipaddr.isValidCIDR(entry) || !ipaddr.isValid(host)) return false;
  const [network, bits] = ipaddr.parseCIDR(entry);
  const address = ipaddr.parse(host);
  return address.kind() === network.kind() && address.match(network, bits);
};

type Entry = { readonly text: string; readonly bare: string };

/**
 * Entries are read as curl, Go and Python read them. An entry is a host, a domain with or without a dot or `*.` in
 * front, a network, or `*`. A port is ignored.
 */
const isCovered = (host: string, entries: readonly Entry[]): boolean =>
  entries.some(
    ({ text, bare }) =>
      text === "*" || host === text || host === bare || host.endsWith(`.${bare}`) || inNetwork(host, text),
  );

/**
 * The value of a NO_PROXY that still covers its targets. The name that the pod dials is added where the target's host
 * was covered and the name is not. Undefined: the env is no NO_PROXY, or needs no change.
 */
export const coveredByNoProxy = (
  { name, value }: EnvVar,
  reached: readonly Reached[],
  work: Work,
): string | undefined => {
  if (value === undefined || value.length > LONGEST_VALUE || !isNoProxy(name)) return undefined;
  const entries = value
    .toLowerCase()
    .split(/[,\s]+/)
    .filter((entry) => entry !== "")
    .map((text) => ({ text, bare: text.replace(/^\*?\./, "").replace(/:\d+$/, "") }));
  if (!charge(work, 500 * entries.length * reached.length)) return undefined;
  const names = reached
    .filter(({ target, host }) => isCovered(target.host, entries) && !isCovered(host, entries))
    .map(({ host }) => host);
  return names.length === 0 ? undefined : [value, ...new Set(names)].join(",");
};
