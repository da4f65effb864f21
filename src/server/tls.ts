import { createPrivateKey, X509Certificate } from "node:crypto";

/** A serving certificate (PEM, the leaf first) and its key, which were found to belong together. */
export type Tls = { readonly cert: string; readonly key: string; /** Seconds since 1970. */ readonly expiry: number };

/** Checks a certificate and a key. Throws with a sentence that names what is wrong; never with a part of the key. */
export const readTls = (cert: string, key: string): Tls => {
  const leaf = parse("certificate", () => new X509Certificate(cert));
  const privateKey = parse("private key", () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(privateKey)) throw new Error("the private key is not the certificate's");
  return { cert, key, expiry: leaf.validToDate.getTime() / 1000 };
};

const parse = <T>(what: string, read: () => T): T => {
  try {
    return read();
  } catch {
    throw new Error(`the ${what} is not PEM`);
  }
};
