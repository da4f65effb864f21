// The certificates and keys of one control plane: a CA, what it signs, and the key of the ServiceAccount tokens.
import type { webcrypto } from "node:crypto";
import "reflect-metadata"; // the X.509 library needs it at import
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const lifetime = 24 * 60 * 60 * 1000;
// Clocks may be set back a little while a cluster runs.
const backdated = 60 * 1000;

export type Signed = { readonly certificate: string; readonly key: string };
export type Authority = Signed & { readonly signingKey: webcrypto.CryptoKey };
export type CertificateSubject = { readonly name: string; readonly group?: string };

const newKeys = (): Promise<webcrypto.CryptoKeyPair> => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);

async function pem(key: webcrypto.CryptoKey): Promise<string> {
  const isPrivate = key.type === "private";
  const der = await crypto.subtle.exportKey(isPrivate ? "pkcs8" : "spki", key);
  return x509.PemConverter.encode(der, isPrivate ? "PRIVATE KEY" : "PUBLIC KEY") + "\n";
}

function validity(): { notBefore: Date; notAfter: Date; signingAlgorithm: typeof algorithm } {
  const now = Date.now();
  return {
    notBefore: new Date(now - backdated),
    notAfter: new Date(now + lifetime),
    signingAlgorithm: algorithm,
  };
}

/** Creates a certificate authority for one cluster. */
export async function createAuthority(): Promise<Authority> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(),
    keys,
    name: [{ CN: ["test cluster CA"] }],
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    certificate: certificate.toString("pem") + "\n",
    key: await pem(keys.privateKey),
    signingKey: keys.privateKey,
  };
}

async function sign(authority: Authority, subject: CertificateSubject, extensions: x509.Extension[]): Promise<Signed> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity(),
    issuer: new x509.X509Certificate(authority.certificate).subjectName,
    // Kubernetes reads the user's name from CN and its groups from O.
    subject: new x509.Name([{ CN: [subject.name] }, ...(subject.group ? [{ O: [subject.group] }] : [])]),
    publicKey: keys.publicKey,
    signingKey: authority.signingKey,
    extensions: [new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true), ...extensions],
  });
  return { certificate: certificate.toString("pem") + "\n", key: await pem(keys.privateKey) };
}

/** Signs a client certificate: Kubernetes takes the subject's name as the user and its group as the user's group. */
export async function signClient(authority: Authority, subject: CertificateSubject): Promise<Signed> {
  return sign(authority, subject, [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])]);
}

/** Signs the API server's certificate for loopback, these IP addresses and the names by which pods know it. */
export async function signServer(authority: Authority, addresses: readonly string[]): Promise<Signed> {
  const names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
  return sign(authority, { name: "kube-apiserver" }, [
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    new x509.SubjectAlternativeNameExtension([
      ...["127.0.0.1", ...addresses].map((value) => ({ type: "ip" as const, value })),
      ...names.map((value) => ({ type: "dns" as const, value })),
    ]),
  ]);
}

/** Creates the key pair that signs and verifies ServiceAccount tokens. */
export async function createTokenKeys(): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
  const keys = await newKeys();
  return { privateKey: await pem(keys.privateKey), publicKey: await pem(keys.publicKey) };
}
