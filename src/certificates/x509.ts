/** Reading certificates (PEM). Computing only: no file, no clock, no randomness. */
import { createPrivateKey, X509Certificate } from "node:crypto";

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The PEM certificates of a text, each with a line's end, in their order. */
export const pemBlocks = (text: string): readonly string[] => (text.match(BLOCK) ?? []).map((block) => `${block}\n`);

/** The first certificate of a text; `undefined`: there is none, or it cannot be read. */
export const readCertificate = (text: string): X509Certificate | undefined => attempt(() => new X509Certificate(text));

/** When it ends, in milliseconds since 1970. */
export const endOf = (certificate: X509Certificate): number => certificate.validToDate.getTime();

/** Whether a private key (PEM) is the certificate's own. */
export const fits = (certificate: X509Certificate, key: string): boolean =>
  attempt(() => certificate.checkPrivateKey(createPrivateKey(key))) ?? false;

export const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

/** Whether it is for these DNS names and IP addresses, all of them and no other. */
export const isFor = (certificate: X509Certificate, names: readonly string[]): boolean => {
  const own = (certificate.subjectAltName ?? "").split(", ");
  return own.length === names.length && names.every((name) => isNamed(certificate, name));
};

/** An address is what no DNS name can be: digits and dots only, or with a colon. */
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
