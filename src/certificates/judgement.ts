/** Whether the stored certificates can be used, and whether they are due for renewal. */
import type { CertificateReason } from "./reasons.ts";
import type { Certificates, KeyPair } from "./secret.ts";
import { expiryOf, fits, isFor, isIssuedBy, readCertificate } from "./x509.ts";

/** The names and lifetimes that certificates must have. Times in milliseconds. */
export type CertificatePolicy = {
  /** The subject alternative names: DNS names and IP addresses. */
  readonly names: readonly string[];
  readonly leafMs: number;
  /** At least twice `leafMs`: a shorter CA would be due for renewal as soon as it is made. */
  readonly caMs: number;
  /**
   * How long a CA stays in `caBundle` before a certificate that it signed is served: the time until every API server
   * has read it.
   */
  readonly settleMs: number;
  /** The path in the registration ends in a token; absent: it is the installer's. */
  readonly hasPathToken?: boolean;
};

/** `isLost`: the certificate cannot be used. Otherwise it can; a `reason` then says why it is due for renewal. */
export type Judgement =
  | { readonly isLost: true; readonly reason: CertificateReason }
  | { readonly isLost: false; readonly reason: CertificateReason | undefined };
const lost = (reason: CertificateReason): Judgement => ({ isLost: true, reason });
const usable = (reason?: CertificateReason): Judgement => ({ isLost: false, reason });

/** The clocks of replicas may differ by this much, in milliseconds, before a certificate counts as due. */
const SKEW_MS = 60_000;

/** Whether a CA can sign, and whether it is due for renewal. */
export const judgeCa = (
  { cert, key }: KeyPair,
  { leafMs, caMs, settleMs }: CertificatePolicy,
  now: number,
): Judgement => {
  const ca = readCertificate(cert);
  if (ca === undefined) return lost("unreadable");
  if (!ca.ca) return lost("not-a-ca");
  if (!fits(ca, key)) return lost("key-mismatch");
  if (expiryOf(ca) <= now) return lost("expired");
  // Not lost: perhaps the clock of this process is wrong.
  if (ca.validFromDate.getTime() > now + SKEW_MS) return usable("not-yet-valid");
  // A certificate signed now would end before its full lifetime.
  if (expiryOf(ca) - now < leafMs + settleMs) return usable("near-expiry");
  return usable(expiryOf(ca) - now > caMs + SKEW_MS ? "too-long" : undefined);
};

/** Whether a certificate can be served, and whether it is due for renewal. */
export const judgeLeaf = ({ leaf, ca }: Certificates, { names, leafMs }: CertificatePolicy, now: number): Judgement => {
  const own = readCertificate(leaf.cert);
  const issuer = readCertificate(ca.cert);
  if (own === undefined) return lost("unreadable");
  if (!fits(own, leaf.key)) return lost("key-mismatch");
  if (expiryOf(own) <= now) return lost("expired");
  if (own.validFromDate.getTime() > now + SKEW_MS) return lost("not-yet-valid");
  if (issuer !== undefined && !isIssuedBy(own, issuer)) return lost("not-issued");
  if (!isFor(own, names)) return usable("names-differ");
  const caEnd = issuer === undefined ? Infinity : expiryOf(issuer);
  if (expiryOf(own) > caEnd) return usable("outlives-ca");
  const left = expiryOf(own) - now;
  if (left > leafMs + SKEW_MS) return usable("too-long");
  const life = Math.min(expiryOf(own) - own.validFromDate.getTime(), leafMs);
  const isLonger = Math.min(now + leafMs, caEnd) > expiryOf(own);
  return usable(left < life / 3 && isLonger ? "near-expiry" : undefined);
};
