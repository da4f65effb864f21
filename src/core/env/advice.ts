/**
 * Text that is right and a connection that fails all the same: what a client checks or is given besides the host that
 * it dials.
 */

import { MOST_NAMES } from "./note.ts";
import { LONGEST_VALUE } from "./work.ts";
import { listed } from "../message.ts";
import type { Target } from "../target.ts";

type Check = { readonly pattern: RegExp; readonly names?: RegExp; readonly says: string };

/** Each spelling is that of the driver's documentation. `names`: env whose name shows the protocol. */
const CHECKS: readonly Check[] = [
  {
    pattern:
      /(^|[\s,;="'(@])(https|ldaps|amqps|rediss|wss|mqtts|nats\+tls|tls):\/\/|sslmode=verify-full|sslmode['"]?\s*[:=]\s*['"]?verify_identity|trustservercertificate\s*=\s*(false|no)|encrypt=strict|[?&;](ssl|tls)=true/i,
    says: "its client checks the certificate for the name that it dials",
  },
  {
    pattern:
      /javakerberos|integrated ?security\s*=\s*(true|sspi)|trusted_connection\s*=\s*(yes|true)|authmech(anism)?=gssapi|gssapi|krbsrvname|kerberos/i,
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
 * The advice for an env that holds the gateway's Service now, with the redirect that serves it. `aliases`: those of the
 * host's targets.
 */
export const adviceFor = (
  name: string,
  value: string,
  isAddress: boolean,
  aliases: readonly string[],
): readonly string[] => {
  if (value.length > LONGEST_VALUE) return [];
  return CHECKS.filter(({ pattern, names }) => pattern.test(value) || names?.test(name) === true).map(
    ({ says }) => `${name}: ${says}; ${servedBy(isAddress, aliases)}`,
  );
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
