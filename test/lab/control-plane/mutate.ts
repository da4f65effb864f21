// Asks a webhook as the API server does, without one.
import { randomUUID } from "node:crypto";
import { Agent } from "node:https";
import type { PatchOperation } from "../../../src/core/patch.ts";
import { reviewText } from "../../making.ts";
import { send } from "../../server/client.ts";

export type MutateAnswer = {
  readonly status: number;
  /** The webhook's message to a person: about an error, or a refused pod. */
  readonly message: string;
  readonly isAllowed: boolean;
  /** The patch; empty where there is none. */
  readonly operations: readonly PatchOperation[];
  readonly ms: number;
};

type Body = {
  /** Of a meta/v1 Status. */
  readonly message?: string;
  readonly response?: {
    readonly allowed: boolean;
    readonly patch?: string;
    readonly status?: { readonly message: string };
  };
};

/** As the API server sends it: each has a uid of its own. */
export const reviewOf = (pod: object, more: object = {}): string =>
  reviewText(pod, { uid: randomUUID(), namespace: "default", ...more });

/** The webhook's answer to the creation of a pod. `url` is its address, `seconds` the timeout of the request. */
export const mutate = async (url: string, ca: string, pod: object, seconds = 10): Promise<MutateAnswer> => {
  const started = performance.now();
  const agent = new Agent({ ca });
  const { status, body } = await send(`${url}/mutate?timeout=${seconds}s`, { agent, body: reviewOf(pod) });
  const { message, response } = JSON.parse(body) as Body;
  return {
    status,
    message: message ?? response?.status?.message ?? "",
    isAllowed: response?.allowed === true,
    operations: JSON.parse(Buffer.from(response?.patch ?? "W10=", "base64").toString()) as readonly PatchOperation[],
    ms: performance.now() - started,
  };
};
