/**
 * The secret part of the webhook's path, for a webhook that keeps its own certificate. It is derived from the key of
 * the CA. So every replica that has read the Secret knows it, and it changes with the CA. The key cannot be derived
 * from it.
 */
import { createHmac } from "node:crypto";
import type { Certificates, KeyPair } from "./secret.ts";

/** 64 characters of 0-9 a-f: an API server takes a path whose parts are DNS names in lower case. */
export const pathTokenOf = ({ key }: KeyPair): string =>
  createHmac("sha256", key).update("flowgen-gateway-webhook path token").digest("hex");

/**
 * The path with this token in the place of one that it may have: `/mutate` and `/warn` each have a second part then.
 */
export const pathWith = (token: string, path = ""): string =>
  `/${path === "" ? "mutate" : (path.split("/")[1] ?? "")}/${token}`;

export const webhookPath = (ca: KeyPair, path?: string): string => pathWith(pathTokenOf(ca), path);

/** The token in a path; undefined: it has none. */
export const tokenIn = (path: string): string | undefined => path.split("/")[2];

/**
 * The tokens that are taken: the present CA's, the next one's, and the former one's until the API servers have read the
 * registration again.
 */
export const pathTokens = ({ ca, next, formerPath }: Certificates, now: number): readonly string[] => [
  pathTokenOf(ca),
  ...(next ? [pathTokenOf(next)] : []),
  ...(formerPath && Date.parse(formerPath.until) > now ? [formerPath.token] : []),
];
