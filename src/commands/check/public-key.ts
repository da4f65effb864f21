import { createPrivateKey, createPublicKey } from "node:crypto";

/** PKCS #8 of an X25519 key (RFC 8410), before its 32 bytes. */
const PKCS8 = Buffer.from("302e020100300506032b656e04220420", "hex");

/** WireGuard's public key of a private one; `undefined` for a text that is no key. */
export const publicKeyOf = (privateKey: string): string | undefined => {
  const raw = Buffer.from(privateKey, "base64");
  if (raw.length !== 32) return undefined;
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, raw]), format: "der", type: "pkcs8" });
  const { x = "" } = createPublicKey(key).export({ format: "jwk" });
  return Buffer.from(x, "base64url").toString("base64");
};
