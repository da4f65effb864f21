import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";

/** A serving certificate (PEM, the leaf first) and its private key, checked to belong together. */
export type Tls = { readonly cert: string; readonly key: string; /** Seconds since 1970. */ readonly expiry: number };

/** The options of a TLS server, also for `setSecureContext`. */
export const tlsOptions = ({ cert, key }: Pick<Tls, "cert" | "key">): SecureContextOptions => ({
  cert,
  key,
  minVersion: "TLSv1.2",
});

/** Checks a certificate and a key. Throws with a sentence that names the fault and never holds a part of the key. */
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
