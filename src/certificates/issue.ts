// The X.509 library needs it at import.
import "reflect-metadata";
import { createPrivateKey, webcrypto } from "node:crypto";
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
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { KeyPair } from "./secret.ts";
import { isAddress } from "./x509.ts";

/** PEM texts: the CA that clients trust, the serving certificate signed by it, and that certificate's key. */
export type ServingCertificate = { readonly ca: string; readonly cert: string; readonly key: string };

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const crypto = webcrypto;

/** `notBefore` is an hour before `now`, because clocks differ (client-go does the same for its own certificates). */
const BACKDATED_MS = 3_600_000;

/** A new CA and its key, which signs serving certificates and nothing else. `lifetimeMs` counts from `now`. */
export const makeCa = async (lifetimeMs: number, now: number): Promise<KeyPair> => {
  const keys = await generateKeys();
  const ca = await X509CertificateGenerator.createSelfSigned(
    {
      notBefore: new Date(now - BACKDATED_MS),
      notAfter: new Date(now + lifetimeMs),
      signingAlgorithm: ALGORITHM,
      name: "CN=flowgen-gateway-webhook CA",
      keys,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  );
  return { cert: pem(ca.rawData, "CERTIFICATE"), key: await keyPem(keys.privateKey) };
};

/**
 * A serving certificate for DNS names and IP addresses, signed by `ca`, and its key. It ends `lifetimeMs` after `now`,
 * or with its CA where that is sooner. Throws when the CA's key is neither EC (P-256, P-384, P-521) nor RSA.
 */
export const makeLeaf = async (
  ca: KeyPair,
  names: readonly string[],
  lifetimeMs: number,
  now: number,
): Promise<KeyPair> => {
  const keys = await generateKeys();
  const issuer = new X509Certificate(ca.cert);
  const signer = signerOf(ca.key);
  const leaf = await X509CertificateGenerator.create(
    {
      notBefore: new Date(now - BACKDATED_MS),
      notAfter: new Date(Math.min(now + lifetimeMs, issuer.notAfter.getTime())),
      signingAlgorithm: signer.algorithm,
      subject: "CN=flowgen-gateway-webhook", // clients read the names below only
      issuer: issuer.subjectName,
      publicKey: keys.publicKey,
      signingKey: signer.key,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isAddress(value) ? ("ip" as const) : ("dns" as const), value })),
        ),
        await AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, crypto),
      ],
    },
    crypto,
  );
  return { cert: pem(leaf.rawData, "CERTIFICATE"), key: await keyPem(keys.privateKey) };
};

/**
 * A new CA and a serving certificate, both valid for `days`. The CA's key is not returned, so the CA signs nothing
 * else.
 */
export const makeServingCertificate = async (
  names: readonly string[],
  days: number,
  now: Date,
): Promise<ServingCertificate> => {
  const lifetimeMs = days * 86_400_000;
  const ca = await makeCa(lifetimeMs, now.getTime());
  return { ca: ca.cert, ...(await makeLeaf(ca, names, lifetimeMs, now.getTime())) };
};

const CURVES: Readonly<Record<string, string>> = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };

const signerOf = (key: string) => {
  const object = createPrivateKey(key);
  const curve = CURVES[object.asymmetricKeyDetails?.namedCurve ?? ""];
  if (curve === undefined && object.asymmetricKeyType !== "rsa")
    throw new Error(
      `the CA's key is ${object.asymmetricKeyType ?? "unknown"}: use an EC (P-256, P-384, P-521) or RSA key`,
    );
  const algorithm =
    curve === undefined
      ? { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }
      : { name: "ECDSA", namedCurve: curve, hash: "SHA-256" };
  return { algorithm, key: object.toCryptoKey(algorithm, false, ["sign"]) };
};

/** Ends with a newline, so that such files can be joined to a chain. */
const pem = (der: ArrayBuffer, tag: string): string => `${PemConverter.encode(der, tag)}\n`;
const keyPem = async (key: webcrypto.CryptoKey): Promise<string> =>
  pem(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");

const generateKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
