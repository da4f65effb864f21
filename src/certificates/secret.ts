import * as z from "zod";
import { parseJson } from "../core/schema.ts";

/** A certificate and its private key, PEM texts; `""` where one is missing. */
export type KeyPair = { readonly cert: string; readonly key: string };

/** A CA that no longer signs but is still trusted: its certificate (PEM) and the end of that trust (RFC 3339). */
export type FormerCa = { readonly cert: string; readonly until: string };

/** The serving certificate and all that the replicas share about it. One Secret holds it, so each step is one write. */
export type Certificates = {
  readonly leaf: KeyPair;
  /** The CA that signed the certificate. Its key is stored too, so that any replica can renew the certificate. */
  readonly ca: KeyPair;
  /** The CA that will sign once every API server can be expected to trust it. */
  readonly next?: KeyPair;
  readonly former: readonly FormerCa[];
  /** The path token of the CA before, and the end of its use (RFC 3339). */
  readonly formerPath?: { readonly token: string; readonly until: string };
  /** The present CA is being revoked (its key may be known to others): its trust ends soon after the next CA signs. */
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
  formerPath: z.object({ token: z.string(), until: z.iso.datetime() }).optional(),
  isRevoking: z.boolean(),
});

/** File name → text. A folder of such files and a Secret's decoded data are the same. */
export type CertificateFiles = Readonly<Record<string, string>>;

/**
 * The certificates in the files; `undefined` when none of `FILE_NAMES` is there. Unreadable parts are `""`; `nextStep`
 * judges them.
 */
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
    ...(rotation?.formerPath && { formerPath: rotation.formerPath }),
    isRevoking: rotation?.isRevoking ?? false,
  };
};

export const toFiles = ({ leaf, ca, next, former, formerPath, isRevoking }: Certificates): CertificateFiles => ({
  [KEY.cert]: leaf.cert,
  [KEY.key]: leaf.key,
  [KEY.ca]: ca.cert,
  [KEY.caKey]: ca.key,
  ...(next && { [KEY.next]: next.cert, [KEY.nextKey]: next.key }),
  [KEY.state]: `${JSON.stringify({ former, formerPath, isRevoking }, undefined, 2)}\n`,
});

/** The names of all files that `toFiles` may write. */
export const FILE_NAMES: readonly string[] = Object.values(KEY);
/** Whether files were written by `toFiles`. */
export const hasOwnFiles = (files: CertificateFiles): boolean => KEY.state in files;

/** A Secret's `data` as files. */
export const decodeData = (data: CertificateFiles): CertificateFiles =>
  Object.fromEntries(Object.entries(data).map(([name, value]) => [name, Buffer.from(value, "base64").toString()]));

export const encodeData = (files: CertificateFiles): CertificateFiles =>
  Object.fromEntries(Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString("base64")]));
