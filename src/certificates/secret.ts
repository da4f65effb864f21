import { z } from "zod";
import { parseJson } from "../core/schema.ts";

/** A certificate and its private key, PEM texts; `""` where one is missing. */
export type KeyPair = { readonly cert: string; readonly key: string };

/** A CA that signs no more and is still trusted: the certificate (PEM), and until when (RFC 3339). */
export type FormerCa = { readonly cert: string; readonly until: string };

/** Everything that the replicas share about the serving certificate. It is one Secret, so that one write is one step. */
export type Certificates = {
  readonly leaf: KeyPair;
  /** The CA that signed it. Its key is here too: any replica can renew the certificate. */
  readonly ca: KeyPair;
  /** A CA that is to sign as soon as the API servers can be expected to trust it. */
  readonly next?: KeyPair;
  readonly former: readonly FormerCa[];
  /** The present CA was given up (its key may be known to others): its trust ends soon after the next one signs. */
  readonly isRevoking: boolean;
};

/** The names of kubernetes.io/tls and cert-manager, so that the Secret can be mounted, and read by other tools. */
const KEY = {
  cert: "tls.crt",
  key: "tls.key",
  ca: "ca.crt",
  caKey: "ca.key",
  next: "next-ca.crt",
  nextKey: "next-ca.key",
  state: "rotation.json",
} as const;

const rotationState = z.object({
  former: z.array(z.object({ cert: z.string(), until: z.iso.datetime() })),
  isRevoking: z.boolean(),
});

/** File name → text. A folder of such files and a Secret's decoded data are the same. */
export type CertificateFiles = Readonly<Record<string, string>>;

/** What the files hold; `undefined` when none of ours is there. What cannot be read is `""`, and found out by `nextStep`. */
export const fromFiles = (files: CertificateFiles): Certificates | undefined => {
  const text = (name: string): string => files[name] ?? "";
  if (Object.values(KEY).every((name) => text(name) === "")) return undefined;
  const next = { cert: text(KEY.next), key: text(KEY.nextKey) };
  const { data: rotation } = rotationState.safeParse(parseJson(text(KEY.state)));
  return {
    leaf: { cert: text(KEY.cert), key: text(KEY.key) },
    ca: { cert: text(KEY.ca), key: text(KEY.caKey) },
    ...(next.cert !== "" && { next }),
    former: rotation?.former ?? [],
    isRevoking: rotation?.isRevoking ?? false,
  };
};

export const toFiles = ({ leaf, ca, next, former, isRevoking }: Certificates): CertificateFiles => ({
  [KEY.cert]: leaf.cert,
  [KEY.key]: leaf.key,
  [KEY.ca]: ca.cert,
  [KEY.caKey]: ca.key,
  ...(next && { [KEY.next]: next.cert, [KEY.nextKey]: next.key }),
  [KEY.state]: `${JSON.stringify({ former, isRevoking }, undefined, 2)}\n`,
});

/** The names of all files that `toFiles` may write. */
export const FILE_NAMES: readonly string[] = Object.values(KEY);
/** Whether files were written by `toFiles`. */
export const isOurs = (files: CertificateFiles): boolean => KEY.state in files;

/** A Secret's `data` as files. */
export const decodeData = (data: CertificateFiles): CertificateFiles =>
  Object.fromEntries(Object.entries(data).map(([name, value]) => [name, Buffer.from(value, "base64").toString()]));

export const encodeData = (files: CertificateFiles): CertificateFiles =>
  Object.fromEntries(Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString("base64")]));
