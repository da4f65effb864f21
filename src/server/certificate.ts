// The X.509 library needs it at import.
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** PEM texts: the CA that clients trust, the serving certificate signed by it, and that certificate's key. */
export type ServingCertificate = { readonly ca: string; readonly cert: string; readonly key: string };

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const crypto = webcrypto;

/**
 * A new CA and a serving certificate for DNS names and IP addresses, both valid from a minute ago (clocks differ) for `days`.
 * The CA's key is thrown away: nothing else can ever be signed by it.
 */
export const makeServingCertificate = async (
  names: readonly string[],
  days: number,
  now: Date,
): Promise<ServingCertificate> => {
  const [caKeys, leafKeys] = await Promise.all([generateKeys(), generateKeys()]);
  const validity = {
    notBefore: new Date(now.getTime() - 60_000),
    notAfter: new Date(now.getTime() + days * 86_400_000),
    signingAlgorithm: ALGORITHM,
  };
  const ca = await X509CertificateGenerator.createSelfSigned(
    {
      ...validity,
      name: "CN=flowgen-gateway-webhook CA",
      keys: caKeys,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(caKeys.publicKey, false, crypto),
      ],
    },
    crypto,
  );
  const leaf = await X509CertificateGenerator.create(
    {
      ...validity,
      subject: "CN=flowgen-gateway-webhook", // clients read the names below only
      issuer: ca.subject,
      publicKey: leafKeys.publicKey,
      signingKey: caKeys.privateKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(names.map(asGeneralName)),
        await AuthorityKeyIdentifierExtension.create(caKeys.publicKey, false, crypto),
      ],
    },
    crypto,
  );
  const key = await crypto.subtle.exportKey("pkcs8", leafKeys.privateKey);
  return {
    ca: pem(ca.rawData, "CERTIFICATE"),
    cert: pem(leaf.rawData, "CERTIFICATE"),
    key: pem(key, "PRIVATE KEY"),
  };
};

/** With a line's end at the end, so that such files can be joined to a chain. */
const pem = (der: ArrayBuffer, tag: string): string => `${PemConverter.encode(der, tag)}\n`;

const generateKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);

const asGeneralName = (name: string): { type: "ip" | "dns"; value: string } => ({
  type: /^[\d.]+$|:/.test(name) ? "ip" : "dns",
  value: name,
});
