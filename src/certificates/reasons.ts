/**
 * Why a certificate, its CA or a `caBundle` was made anew: one code, one sentence. Log, Event, metrics' labels, the command
 * `certs` and the documentation read this table.
 */
export const certificateReasons = {
  missing: "there is nothing yet, or it was deleted",
  unreadable: "it is missing or cannot be read",
  "key-mismatch": "its private key is missing, cannot be read or is another's",
  "not-a-ca": "it is no CA's certificate",
  "not-issued": "another CA than the one beside it has signed it",
  "names-differ": "it is not for the names that the webhook has",
  "not-yet-valid": "its time has not begun: this clock or its maker's is wrong",
  "near-expiry": "its end is near",
  expired: "it has ended",
  "outlives-ca": "it would outlive its CA",
  "too-long": "it is made for longer than the lifetime that is asked for",
  asked: "somebody asked for it",
  "bundle-differs": "caBundle does not hold exactly the CAs that are to be trusted",
  trusted: "caBundle has held the new CA for long enough: the API servers know it",
  "former-ended": "nobody can serve a certificate of the former CA any more",
} as const;

export type CertificateReason = keyof typeof certificateReasons;

/** What a step does. */
const steps = {
  make: "a CA and a certificate of it are made",
  restore: "the certificate that is served is put back, and another CA made to follow its own",
  issue: "a certificate is made",
  introduce: "the next CA is made, to be trusted before it signs",
  promote: "the next CA signs from now on, and a certificate of it is made",
  forget: "former CAs are removed",
  trust: "the CAs are put into caBundle",
} as const;

export type StepKind = keyof typeof steps;
type Explained = { readonly kind: StepKind; readonly reason: CertificateReason };

/** A step and why, as one sentence. */
export const stepText = ({ kind, reason }: Explained): string => `${steps[kind]}: ${certificateReasons[reason]}`;

const BROKEN: ReadonlySet<CertificateReason> = new Set([
  "unreadable",
  "key-mismatch",
  "not-a-ca",
  "not-issued",
  "not-yet-valid",
  "expired",
]);

/** Whether something was wrong that time alone does not bring about. The first certificate of all is no repair. */
export const isRepair = ({ kind, reason }: Explained): boolean => kind === "restore" || BROKEN.has(reason);

/** Why the certificates cannot be kept in order, and what to do. */
export const certificateFailures = {
  "api-error": "the API server refused or did not answer; see the message, RBAC and the network",
  "not-ours":
    "there is data that flowgen-gateway-webhook did not write: choose another place, delete it, or hand a Secret over with the label app.kubernetes.io/managed-by=flowgen-gateway-webhook",
  "no-webhook-configuration":
    "there is no MutatingWebhookConfiguration of that name to put the CA in: install it, or correct --webhook-configuration",
} as const;

export type CertificateFailure = keyof typeof certificateFailures;
