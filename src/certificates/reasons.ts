/**
 * Why a certificate, its CA or a `caBundle` was written again: one code, one sentence. The log, Events, metric labels,
 * the command `certs` and the documentation use this table.
 */
export const certificateReasons = {
  missing: "there is nothing yet, or it was deleted",
  unreadable: "it is missing or cannot be read",
  "key-mismatch": "its private key is missing, cannot be read or belongs to another certificate",
  "not-a-ca": "it is not the certificate of a CA",
  "not-issued": "it was not signed by the CA that is stored beside it",
  "names-differ": "its names are not those of the webhook",
  "not-yet-valid": "it is not valid yet: this clock was wrong when it was made, or is wrong now",
  "near-expiry": "it ends soon",
  expired: "it has expired",
  "outlives-ca": "it would outlive its CA",
  "too-long": "it is valid for longer than the configured lifetime",
  asked: "it was asked for (certs --rotate)",
  "bundle-differs": "caBundle does not hold exactly the trusted CAs",
  "path-differs": "the path does not end in the token of the CA",
  trusted: "caBundle has held the new CA long enough for every API server to have read it",
  "former-ended": "no certificate of the former CA can be served any more",
} as const;

export type CertificateReason = keyof typeof certificateReasons;

/** The effect of each step. */
const steps = {
  make: "a CA and a certificate signed by it are made",
  restore: "the served certificate is stored again, and a new CA is made to replace its CA",
  issue: "a certificate is made",
  introduce: "the next CA is made; it is trusted first and signs later",
  promote: "the next CA replaces the present one and signs a certificate",
  forget: "former CAs are removed",
  trust: "the CAs are put into caBundle, and where it is asked for the token into the path",
} as const;

export type StepKind = keyof typeof steps;
type Explained = { readonly kind: StepKind; readonly reason: CertificateReason };

/** A step and its reason, as one sentence. */
export const stepText = ({ kind, reason }: Explained): string => `${steps[kind]}: ${certificateReasons[reason]}`;

const BROKEN: ReadonlySet<CertificateReason> = new Set([
  "unreadable",
  "key-mismatch",
  "not-a-ca",
  "not-issued",
  "not-yet-valid",
  "expired",
]);

/**
 * Whether the step mends a fault, which the mere passing of time does not cause. The first certificate is no repair.
 */
export const isRepair = ({ kind, reason }: Explained): boolean => kind === "restore" || BROKEN.has(reason);

/** Why the certificates cannot be renewed, and the fix. */
export const certificateFailures = {
  "api-error": "the API server refused or did not answer; see the message, RBAC and the network",
  "data-unmanaged":
    "it holds data that flowgen-gateway-webhook did not write: choose another Secret or folder, delete the data, or label the Secret app.kubernetes.io/managed-by=flowgen-gateway-webhook",
  "no-webhook-configuration":
    "there is no MutatingWebhookConfiguration of that name, whose caBundle needs the CA: install it, or correct --webhook-configuration",
} as const;

export type CertificateFailure = keyof typeof certificateFailures;
