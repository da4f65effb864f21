import { type CertificatePolicy, judgeCa, judgeLeaf } from "./judgement.ts";
import { webhookPath, pathTokenOf } from "./own-path.ts";
import type { CertificateReason, StepKind } from "./reasons.ts";
import type { Certificates, FormerCa, KeyPair } from "./secret.ts";
import { expiryOf, pemBlocks, readCertificate } from "./x509.ts";

/** All that decides the next step, except the clock. */
export type Situation = {
  /** The content of the Secret; `undefined`: the Secret is missing or empty. */
  readonly stored: Certificates | undefined;
  /** The last valid certificates that this process read. They are stored again when the Secret is lost. */
  readonly held: Certificates | undefined;
  /** `caBundle` of each webhook, PEM; `undefined`: there is no webhook configuration. */
  readonly bundles: readonly string[] | undefined;
  /** The path of each webhook that is called by its Service. */
  readonly paths: readonly string[];
  /**
   * How long the next CA has been in all bundles without a break, in milliseconds; `undefined`: it is missing from one.
   */
  readonly trustedForMs: number | undefined;
  /** An admin asked for another CA, even if none is due. */
  readonly isAsked: boolean;
};

/**
 * One write and its reason. The situation is read again after it.
 * - `make`: writes a new CA and a certificate that it signed.
 * - `restore`: writes the served certificate again, with a next CA: the Secret may have been deleted to get rid of the
 *   CA.
 * - `issue`: writes a certificate that the present CA signed.
 * - `introduce`: writes a next CA, which signs nothing yet.
 * - `promote`: makes the next CA the present one, and writes a certificate that it signed.
 * - `forget`: removes from the Secret the former CAs that are no longer trusted.
 * - `trust`: writes `caBundle` of every webhook, and the token in its path where it is to hold one.
 */
export type CertificateStep =
  | {
      readonly kind: Exclude<StepKind, "trust">;
      readonly reason: CertificateReason;
      /** The certificates to write, without the parts named in `makes`. */
      readonly from: Certificates;
      readonly makes: readonly ("ca" | "leaf" | "next")[];
    }
  | { readonly kind: "trust"; readonly reason: CertificateReason; readonly bundle: string; readonly token?: string };

/** No step is due. `forMs`: the time until the next one, when a rotation waits for nothing but time. */
export type Rest = { readonly kind: "rest"; readonly isUnderWay: boolean; readonly forMs?: number };

/** CAs that others wrote into `caBundle` stay for a day: pods with a certificate of theirs may still serve. */
const ADOPTED_MS = 86_400_000;

/**
 * The next step after which the webhook has a certificate that the API servers trust, now and after its renewal.
 *
 * A new CA first goes into `caBundle`, beside the present one. After `settleMs` there it signs the certificate that all
 * replicas serve. The former CA stays in `caBundle` until it expires: no certificate outlives its CA, so none of it is
 * served after that. A revoked CA stays for `settleMs` only.
 */
export const nextStep = (situation: Situation, policy: CertificatePolicy, now: number): CertificateStep | Rest => {
  const { stored, bundles, trustedForMs } = situation;
  if (stored === undefined) return begin("missing", situation, policy, now);
  const ca = judgeCa(stored.ca, policy, now);
  const leaf = judgeLeaf(stored, policy, now);
  const next = stored.next && judgeCa(stored.next, policy, now);
  if (ca.isLost && leaf.isLost) {
    if (stored.next === undefined || next?.isLost !== false) return begin(leaf.reason, situation, policy, now);
    return promote(leaf.reason, stored, stored.next, stored.former, policy, now);
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
  const token = policy.hasPathToken === true ? { token: pathTokenOf(stored.ca) } : {};
  if (bundles?.every((each) => isSamePem(each, bundle)) === false)
    return { kind: "trust", reason: "bundle-differs", bundle, ...token };
  if (policy.hasPathToken === true && situation.paths.some((path) => path !== webhookPath(stored.ca, path)))
    return { kind: "trust", reason: "path-differs", bundle, ...token };
  if (stored.next !== undefined) {
    const { settleMs } = policy;
    if (trustedForMs === undefined) return { kind: "rest", isUnderWay: true };
    if (trustedForMs < settleMs) return { kind: "rest", isUnderWay: true, forMs: settleMs - trustedForMs };
    return promote("trusted", stored, stored.next, givenUp(stored, policy, now), policy, now);
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
  stored: Certificates,
  ca: KeyPair,
  former: readonly FormerCa[],
  { settleMs }: CertificatePolicy,
  now: number,
): CertificateStep => {
  const formerPath = { token: pathTokenOf(stored.ca), until: new Date(now + 2 * settleMs).toISOString() };
  const from = { leaf: stored.leaf, ca, former, formerPath, isRevoking: false };
  return { kind: "promote", reason, from, makes: ["leaf"] };
};

/** The former CAs, and all other valid CAs that are in `caBundle` now. */
const adopted = ({ stored, bundles = [] }: Situation, now: number): readonly FormerCa[] => {
  const former = [...(stored?.former ?? [])];
  const known = new Set(former.flatMap(({ cert }) => [...fingerprints(cert)]));
  for (const cert of bundles.flatMap(pemBlocks)) {
    const ca = readCertificate(cert);
    if (ca === undefined || expiryOf(ca) <= now || known.has(ca.fingerprint256)) continue;
    known.add(ca.fingerprint256);
    former.push({ cert, until: new Date(Math.min(expiryOf(ca), now + ADOPTED_MS)).toISOString() });
  }
  return former;
};

/** The former CAs, the present one added. */
const givenUp = (stored: Certificates, { settleMs }: CertificatePolicy, now: number): readonly FormerCa[] => {
  const ca = readCertificate(stored.ca.cert);
  if (ca === undefined) return stored.former;
  const until = stored.isRevoking ? Math.min(expiryOf(ca), now + settleMs) : expiryOf(ca);
  return [...stored.former, { cert: stored.ca.cert, until: new Date(until).toISOString() }];
};

const isTrusted = ({ until }: FormerCa, now: number): boolean => Date.parse(until) > now;

/** The trusted CAs as `caBundle` lists them, the present one first. */
const bundleOf = ({ ca, next, former }: Certificates, now: number): string =>
  [ca.cert, next?.cert ?? "", ...former.filter((each) => isTrusted(each, now)).map(({ cert }) => cert)]
    .flatMap(pemBlocks)
    .filter((block) => readCertificate(block) !== undefined)
    .join("");

const fingerprints = (bundle: string): ReadonlySet<string> =>
  new Set(pemBlocks(bundle).map((block) => readCertificate(block)?.fingerprint256 ?? block));

/** Whether two bundles hold the same certificates, in any order. */
const isSamePem = (a: string, b: string): boolean => {
  const [one, other] = [fingerprints(a), fingerprints(b)];
  return one.size === other.size && [...one].every((fingerprint) => other.has(fingerprint));
};
