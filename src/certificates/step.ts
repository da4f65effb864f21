import { type CertificatePolicy, judgeCa, judgeLeaf } from "./judgement.ts";
import type { CertificateReason, StepKind } from "./reasons.ts";
import type { Certificates, FormerCa, KeyPair } from "./secret.ts";
import { endOf, pemBlocks, readCertificate } from "./x509.ts";

/** All that the next step depends on, besides the clock. */
export type Situation = {
  /** What the Secret holds; `undefined`: it is missing or empty. */
  readonly stored: Certificates | undefined;
  /** What this process has read last that was in order. It can be put back when the Secret is lost. */
  readonly held: Certificates | undefined;
  /** `caBundle` of each webhook, PEM; `undefined`: there is no webhook configuration. */
  readonly bundles: readonly string[] | undefined;
  /** How long the next CA has been seen in all of them, without a break; `undefined`: it is not there. */
  readonly trustedForMs: number | undefined;
  /** Somebody wants another CA, whether one is due or not. */
  readonly isAsked: boolean;
};

/**
 * One write, and why. After it the situation is read again.
 * - `make`: a CA and a certificate from noCertificates.
 * - `restore`: what this process serves is put back, beside a next CA: whoever deleted the Secret may have meant it.
 * - `issue`: a certificate by the CA that there is.
 * - `introduce`: a next CA, which signs noCertificates yet.
 * - `promote`: the next CA becomes the CA, and signs a certificate.
 * - `forget`: former CAs that are trusted no more leave the Secret.
 * - `trust`: `caBundle` of every webhook.
 */
export type CertificateStep =
  | {
      readonly kind: Exclude<StepKind, "trust">;
      readonly reason: CertificateReason;
      /** What is written, but for what is to be made. */
      readonly from: Certificates;
      readonly makes: readonly ("ca" | "leaf" | "next")[];
    }
  | { readonly kind: "trust"; readonly reason: CertificateReason; readonly bundle: string };

/** Nothing to do now. `forMs`: until there is, where a rotation is under way and time is all that it waits for. */
export type Rest = { readonly kind: "rest"; readonly isUnderWay: boolean; readonly forMs?: number };

/** CAs that others put into `caBundle` stay for a day when we take it over: pods that serve theirs may still run. */
const ADOPTED_MS = 86_400_000;

/**
 * What must be done next for the webhook to have a certificate that the API servers trust, now and after it is renewed. A new CA
 * goes into `caBundle` beside the present one, first; when it has been there for `settleMs` it signs the certificate that all
 * replicas serve; the former one stays in `caBundle` until its own end (no certificate outlives its CA, so none of it can be
 * served then) or, when it was given up, for `settleMs`.
 */
export const nextStep = (situation: Situation, policy: CertificatePolicy, now: number): CertificateStep | Rest => {
  const { stored, bundles, trustedForMs } = situation;
  if (stored === undefined) return begin("missing", situation, policy, now);
  const ca = judgeCa(stored.ca, policy, now);
  const leaf = judgeLeaf(stored, policy, now);
  const next = stored.next && judgeCa(stored.next, policy, now);
  if (ca.isLost && leaf.isLost) {
    if (stored.next === undefined || next?.isLost !== false) return begin(leaf.reason, situation, policy, now);
    return promote(leaf.reason, stored, stored.next, stored.former);
  }
  if (!ca.isLost && leaf.reason !== undefined)
    return { kind: "issue", reason: leaf.reason, from: stored, makes: ["leaf"] };

  const due = situation.isAsked ? "asked" : (next ?? ca).reason;
  if (due !== undefined) {
    const former = ca.reason === "unreadable" ? adopted(situation, now) : stored.former;
    const isRevoking = stored.isRevoking || situation.isAsked;
    return { kind: "introduce", reason: due, from: { ...stored, former, isRevoking }, makes: ["next"] };
  }

  const bundle = bundleOf(stored, now);
  if (bundles?.every((each) => isSamePem(each, bundle)) === false)
    return { kind: "trust", reason: "bundle-differs", bundle };
  if (stored.next !== undefined) {
    const { settleMs } = policy;
    if (trustedForMs === undefined) return { kind: "rest", isUnderWay: true };
    if (trustedForMs < settleMs) return { kind: "rest", isUnderWay: true, forMs: settleMs - trustedForMs };
    return promote("trusted", stored, stored.next, givenUp(stored, policy, now));
  }
  const former = stored.former.filter((each) => isTrusted(each, now));
  if (former.length < stored.former.length)
    return { kind: "forget", reason: "former-ended", from: { ...stored, former }, makes: [] };
  const [soonest] = former.map(({ until }) => Date.parse(until) - now).sort((a, b) => a - b);
  return soonest !== undefined && soonest <= policy.settleMs
    ? { kind: "rest", isUnderWay: true, forMs: soonest }
    : { kind: "rest", isUnderWay: false };
};

/** Whether a `caBundle` holds a CA. */
export const trusts = (bundle: string, ca: string): boolean => {
  const fingerprint = readCertificate(ca)?.fingerprint256;
  return fingerprint !== undefined && fingerprints(bundle).has(fingerprint);
};

const begin = (
  reason: CertificateReason,
  situation: Situation,
  policy: CertificatePolicy,
  now: number,
): CertificateStep => {
  const { held } = situation;
  if (held === undefined || judgeCa(held.ca, policy, now).isLost || judgeLeaf(held, policy, now).isLost)
    return {
      kind: "make",
      reason,
      from: { ...noCertificates, former: adopted(situation, now) },
      makes: ["ca", "leaf"],
    };
  return { kind: "restore", reason, from: { ...held, isRevoking: true }, makes: ["next"] };
};

const empty: KeyPair = { cert: "", key: "" };
const noCertificates: Certificates = { leaf: empty, ca: empty, former: [], isRevoking: false };

const promote = (
  reason: CertificateReason,
  { leaf }: Certificates,
  ca: KeyPair,
  former: readonly FormerCa[],
): CertificateStep => ({ kind: "promote", reason, from: { leaf, ca, former, isRevoking: false }, makes: ["leaf"] });

/** The former CAs, and whatever else is in `caBundle` now. */
const adopted = ({ stored, bundles = [] }: Situation, now: number): readonly FormerCa[] => {
  const former = [...(stored?.former ?? [])];
  const known = new Set(former.flatMap(({ cert }) => [...fingerprints(cert)]));
  for (const cert of bundles.flatMap(pemBlocks)) {
    const ca = readCertificate(cert);
    if (ca === undefined || endOf(ca) <= now || known.has(ca.fingerprint256)) continue;
    known.add(ca.fingerprint256);
    former.push({ cert, until: new Date(Math.min(endOf(ca), now + ADOPTED_MS)).toISOString() });
  }
  return former;
};

/** The former CAs once the present one is among them. */
const givenUp = (stored: Certificates, { settleMs }: CertificatePolicy, now: number): readonly FormerCa[] => {
  const ca = readCertificate(stored.ca.cert);
  if (ca === undefined) return stored.former;
  const until = stored.isRevoking ? Math.min(endOf(ca), now + settleMs) : endOf(ca);
  return [...stored.former, { cert: stored.ca.cert, until: new Date(until).toISOString() }];
};

const isTrusted = ({ until }: FormerCa, now: number): boolean => Date.parse(until) > now;

/** The CAs that are to be trusted, the present one first. */
const bundleOf = ({ ca, next, former }: Certificates, now: number): string =>
  [ca.cert, next?.cert ?? "", ...former.filter((each) => isTrusted(each, now)).map(({ cert }) => cert)]
    .flatMap(pemBlocks)
    .filter((block) => readCertificate(block) !== undefined)
    .join("");

const fingerprints = (bundle: string): ReadonlySet<string> =>
  new Set(pemBlocks(bundle).map((block) => readCertificate(block)?.fingerprint256 ?? block));

/** Whether two bundles hold the same certificates, in whatever order. */
const isSamePem = (a: string, b: string): boolean => {
  const [one, other] = [fingerprints(a), fingerprints(b)];
  return one.size === other.size && [...one].every((fingerprint) => other.has(fingerprint));
};
