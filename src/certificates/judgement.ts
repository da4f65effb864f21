/** Whether the certificates that there are will do. */
import type { CertificateReason } from "./reasons.ts";
import type { Certificates, KeyPair } from "./secret.ts";
import { endOf, fits, isFor, isIssuedBy, readCertificate } from "./x509.ts";

/** What certificates are to be like. Times in milliseconds. */
export type CertificatePolicy = {
  /** DNS names and IP addresses. */
  readonly names: readonly string[];
  readonly leafMs: number;
  /** At least twice `leafMs`, so that a CA that was just made is not due again. */
  readonly caMs: number;
  /** How long a CA is in `caBundle` before a certificate of its own is served: every API server has it by then. */
  readonly settleMs: number;
};

/** `isLost`: it cannot be used. Otherwise it can, and `reason` says why it is due. */
export type Judgement =
  | { readonly isLost: true; readonly reason: CertificateReason }
  | { readonly isLost: false; readonly reason: CertificateReason | undefined };
const lost = (reason: CertificateReason): Judgement => ({ isLost: true, reason });
const usable = (reason?: CertificateReason): Judgement => ({ isLost: false, reason });

/** Clocks of replicas differ; nothing is due because of a minute. */
const SKEW_MS = 60_000;

/** Whether a CA can sign, and whether another is due. */
export const judgeCa = (
  { cert, key }: KeyPair,
  { leafMs, caMs, settleMs }: CertificatePolicy,
  now: number,
): Judgement => {
  const ca = readCertificate(cert);
  if (ca === undefined) return lost("unreadable");
  if (!ca.ca) return lost("not-a-ca");
  if (!fits(ca, key)) return lost("key-mismatch");
  if (endOf(ca) <= now) return lost("expired");
  // Not lost: it may be this clock that is wrong.
  if (ca.validFromDate.getTime() > now + SKEW_MS) return usable("not-yet-valid");
  // A certificate made now could not have its whole lifetime.
  if (endOf(ca) - now < leafMs + settleMs) return usable("near-expiry");
  return usable(endOf(ca) - now > caMs + SKEW_MS ? "too-long" : undefined);
};

/** Whether a certificate can be served, and whether another is due. */
export const judgeLeaf = ({ leaf, ca }: Certificates, { names, leafMs }: CertificatePolicy, now: number): Judgement => {
  const own = readCertificate(leaf.cert);
  const issuer = readCertificate(ca.cert);
  if (own === undefined) return lost("unreadable");
  if (!fits(own, leaf.key)) return lost("key-mismatch");
  if (endOf(own) <= now) return lost("expired");
  if (own.validFromDate.getTime() > now + SKEW_MS) return lost("not-yet-valid");
  if (issuer !== undefined && !isIssuedBy(own, issuer)) return lost("not-issued");
  if (!isFor(own, names)) return usable("names-differ");
  const caEnd = issuer === undefined ? Infinity : endOf(issuer);
  if (endOf(own) > caEnd) return usable("outlives-ca");
  const left = endOf(own) - now;
  if (left > leafMs + SKEW_MS) return usable("too-long");
  const life = Math.min(endOf(own) - own.validFromDate.getTime(), leafMs);
  const isLonger = Math.min(now + leafMs, caEnd) > endOf(own);
  return usable(left < life / 3 && isLonger ? "near-expiry" : undefined);
};
