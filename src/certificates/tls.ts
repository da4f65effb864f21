import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";

/** A serving certificate (PEM, the leaf first) and its private key, checked to belong together. */
export type Tls = { readonly cert: string; readonly key: string; /** Seconds since 1970. */ readonly expiry: number };

/**
 * The TLS options of a server, at its start and for its next connections. `clientCa` (PEM) verifies client
 * certificates. Without it Node's own CAs verify them, and the result is not used.
 */
export const tlsOptions = ({ cert, key }: Pick<Tls, "cert" | "key">, clientCa?: string): SecureContextOptions => ({
  cert,
  key,
  ...(clientCa !== undefined && { ca: pemBlocks(clientCa) }),
  minVersion: "TLSv1.2",
});

/** The certificates in a PEM text, one by one: OpenSSL stops at the first that does not begin on a line of its own. */
const pemBlocks = (pem: string): string[] =>
  pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];

/** Certificates of CAs, PEM. Throws with a sentence that names what is wrong. */
export const readClientCa = (pem: string): string => {
  const blocks = pemBlocks(pem);
  if (blocks.length === 0) throw new Error("it holds no PEM certificate");
  const certificates = blocks.map((block) =>
    parse("a certificate in it cannot be read", () => new X509Certificate(block)),
  );
  const leaf = certificates.find(({ ca }) => !ca);
  if (leaf !== undefined)
    throw new Error(`the certificate of ${leaf.subject.replaceAll("\n", ", ")} is no CA's, so it signed no client's`);
  return pem;
};

/** Checks a certificate and a key. Throws with a sentence that names what is wrong; never with a part of the key. */
export const readTls = (cert: string, key: string): Tls => {
  const leaf = parse("the certificate is not PEM", () => new X509Certificate(cert));
  const privateKey = parse("the private key is not PEM, or it is encrypted", () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(privateKey))
    throw new Error("the private key is not that of the certificate (the first one, where the file holds a chain)");
  parse("the certificates after the first are not PEM", () => createSecureContext(tlsOptions({ cert, key })));
  return { cert, key, expiry: leaf.validToDate.getTime() / 1000 };
};

const parse = <T>(problem: string, read: () => T): T => {
  try {
    return read();
  } catch {
    throw new Error(problem);
  }
};
