/**
 * Text that is right and a connection that fails all the same: what a client checks or is given besides the host that
 * it dials.
 */

import { MOST_NAMES } from "./note.ts";
import { LONGEST_VALUE } from "./work.ts";
import { perName } from "../memo.ts";
import { listed } from "../message.ts";
import type { EnvVar } from "../pod.ts";
import type { Target } from "../target.ts";

type Check = { readonly pattern: RegExp; readonly names?: RegExp; readonly says: string };

/** Each spelling is that of the driver's documentation. `names`: env whose name shows the protocol. */
const CHECKS: readonly Check[] = [
  {
    pattern:
      /(^|[\s,;="'(@])(https|ldaps|amqps|rediss|wss|mqtts|nats\+tls|tls):\/\/|sslmode=verify-full|sslrootcert=system|sslmode['"]?\s*[:=]\s*['"]?verify_identity|trustservercertificate\s*=\s*(false|no)|encrypt=strict|[?&;](ssl|tls)=true/i,
    says: "its client checks the certificate for the name that it dials",
  },
  {
    pattern:
      /javakerberos|integrated ?security\s*=\s*(true|sspi)|trusted_?connection\s*=\s*(yes|true)|authmech(anism)?=gssapi|gssapi|requireauth=gss|gssencmode=require|krbsrvname|kerberos/i,
    says: "Kerberos asks for a ticket of the name that its client dials",
  },
  {
    pattern:
      /[?&]replicaset=|(^|[^a-z])(sasl_ssl|sasl_plaintext|plaintext):\/\/|[?&]loadbalanced=|sentinel|applicationintent\s*=\s*readonly|multisubnetfailover\s*=\s*(true|yes)/i,
    names: /bootstrap|kafka|brokers?(_|$)|sentinel/i,
    says: "its servers announce addresses of their own",
  },
];

/**
 * Remarks about a client, each with the env that shows it. By the beginning that the names of the client's env share
 * (`settingsPrefix`).
 */
export type ClientSettings = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** The names of settings that may stand in an env of their own, as drivers and charts have them. */
const SETTING =
  /(?:ssl_?mode|ssl_?root_?cert|trust_?server_?certificate|encrypt|((?:ssl|tls)_?enabled|use_?(?:ssl|tls)|ssl|tls)|(scheme|protocol|proto)|require_?auth|gssencmode|krbsrvname|integrated_?security|trusted_?connection|auth_?mech(?:anism)?|replica_?set(?:_?name)?|application_?intent|multi_?subnet_?failover|sentinel)$/i;
/** No setting's name or value is longer. */
const LONGEST_SETTING = 40;
/** The setting that an env's name ends with; `false`: none. */
const settingIn = perName((name) => SETTING.exec(name.slice(-LONGEST_SETTING)) ?? false);

/** A setting as it would stand in a URL: `PGSSLMODE: verify-full` is `?sslmode=verify-full`. */
const settingText = ([key, flag, scheme]: RegExpExecArray, value: string): string => {
  if (scheme !== undefined) return `${value}://`;
  if (flag !== undefined) return `?ssl=${/^(true|1|yes|on)$/i.test(value) ? "true" : value}`;
  return `?${key.replaceAll("_", "").replace(/name$/i, "")}=${value}`;
};

/** Remarks about clients by settings in env of their own: `PGSSLMODE` beside `PGHOST`. */
export const clientSettings = (env: readonly EnvVar[]): ClientSettings => {
  const settings = new Map<string, Map<string, string>>();
  for (const { name, value = "" } of env) {
    const found = value === "" ? false : settingIn(name);
    if (found === false) continue;
    const prefix = name
      .slice(0, name.length - found[0].length)
      .replace(/_$/, "")
      .toLowerCase();
    const text = settingText(found, value.slice(0, LONGEST_SETTING).trim());
    const shown = settings.get(prefix) ?? new Map<string, string>();
    for (const { pattern, says } of CHECKS) if (pattern.test(text) && !shown.has(says)) shown.set(says, name);
    if (prefix !== "" && shown.size > 0) settings.set(prefix, shown);
  }
  return settings;
};

/** The host that is dialed: whether it is an address, and the aliases of its targets. */
type DialedHost = { readonly isAddress: boolean; readonly aliases: readonly string[] };

/**
 * The advice for an env that holds the gateway's Service now, with the redirect that serves it. `beside`: remarks by
 * other env of the client.
 */
export const adviceFor = (
  name: string,
  value: string,
  { isAddress, aliases }: DialedHost,
  beside: ReadonlyMap<string, string> = new Map(),
): readonly string[] => {
  if (value.length > LONGEST_VALUE) return [];
  const own = CHECKS.filter(({ pattern, names }) => pattern.test(value) || names?.test(name) === true);
  const served = servedBy(isAddress, aliases);
  const others = [...beside].filter(([says]) => own.every((check) => check.says !== says));
  return [
    ...own.map(({ says }) => `${name}: ${says}; ${served}`),
    ...others.map(([says, other]) => `${name} with ${other}: ${says}; ${served}`),
  ];
};

const servedBy = (isAddress: boolean, aliases: readonly string[]): string => {
  if (!isAddress) return "redirect: hostAlias keeps the name";
  return aliases.length === 0
    ? "list the server's own name in aliases"
    : `write its alias there: ${listed(aliases, MOST_NAMES)}`;
};

const HTTPS = 443;

/** The advice for a target that no env holds: flows may hold a URL of it, and `https` to a Service's name fails. */
export const adviceForTarget = ({ name, port, aliases }: Target, isAddress: boolean): readonly string[] =>
  port === HTTPS
    ? [`${name}: https checks the certificate for the name in its URL; ${servedBy(isAddress, aliases)}`]
    : [];
