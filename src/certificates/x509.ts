/** Reads certificates (PEM). Pure: no file, no clock, no randomness. */
import { createPrivateKey, X509Certificate } from "node:crypto";

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The PEM certificates of a text in their order, each with a newline. */
export const pemBlocks = (text: string): readonly string[] => (text.match(BLOCK) ?? []).map((block) => `${block}\n`);

/** The first certificate of a text; `undefined`: the text has none that can be read. */
export const readCertificate = (text: string): X509Certificate | undefined => attempt(() => new X509Certificate(text));

/** The end of the validity (`notAfter`), in milliseconds since 1970. */
export const expiryOf = (certificate: X509Certificate): number => certificate.validToDate.getTime();

/** Whether a private key (PEM) belongs to the certificate. */
export const fits = (certificate: X509Certificate, key: string): boolean =>
  attempt(() => certificate.checkPrivateKey(createPrivateKey(key))) ?? false;

export const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

/** Whether the certificate has exactly these DNS names and IP addresses. */
export const isFor = (certificate: X509Certificate, names: readonly string[]): boolean => {
  const own = (certificate.subjectAltName ?? "").split(", ");
  return own.length === names.length && names.every((name) => isNamed(certificate, name));
};

/** Digits and dots only, or a colon in it: no DNS name looks like that. */
export const isAddress = (name: string): boolean => /^[\d.]+$|:/.test(name);

const isNamed = (certificate: X509Certificate, name: string): boolean =>
  isAddress(name)
    ? certificate.checkIP(name) !== undefined
    : certificate.checkHost(name, { subject: "never", wildcards: false }) !== undefined;

const attempt = <T>(read: () => T): T | undefined => {
  try {
    return read();
  } catch {
    return undefined;
  }
};
