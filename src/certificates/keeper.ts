import { type CertificateFailure, isRepair, stepText } from "./reasons.ts";
import type { Certificates, KeyPair } from "./secret.ts";
import type { CertificatePolicy } from "./judgement.ts";
import { webhookPath, pathTokens, tokenIn } from "./own-path.ts";
import { type CertificateStep, nextStep, type Rest, trusts } from "./step.ts";
import type { CertificateReading, CertificateStore } from "./store.ts";
import { isConflict, isTransient } from "../cluster/cluster.ts";
import { delayMs, sleepUnless } from "../cluster/waiting.ts";

/** Makes keys and certificates. */
export type Issuer = {
  readonly makeCa: (lifetimeMs: number, now: number) => Promise<KeyPair>;
  /** The certificate ends no later than its CA. */
  readonly makeLeaf: (ca: KeyPair, names: readonly string[], lifetimeMs: number, now: number) => Promise<KeyPair>;
};

export type KeeperOptions = {
  readonly store: CertificateStore;
  readonly issuer: Issuer;
  readonly policy: CertificatePolicy;
  /** Called after each write. */
  readonly onStep?: (step: CertificateStep) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Milliseconds, monotonic. */
  readonly clock?: () => number;
  readonly random?: () => number;
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<unknown>;
};

/** The state after every possible step was made. */
export type Look =
  | {
      readonly kind: "kept";
      readonly certificates: Certificates;
      /** Every `caBundle` holds the CA of the certificate. */
      readonly isTrusted: boolean;
      /** The path tokens that are taken. */
      readonly tokens: readonly string[];
      /** Every API server calls the webhook by a path with a token. */
      readonly isPathKnown: boolean;
      readonly rest: Rest;
      readonly failure?: CertificateFailure;
    }
  | { readonly kind: "refused"; readonly failure: CertificateFailure };

export type KeeperWish = {
  /** Make another CA, even if none is due. */
  readonly isAsked?: boolean;
  /** The caller knows that every API server has read the present `caBundle`: `settleMs` need not pass. */
  readonly isSettled?: boolean;
};

export type Keeper = {
  /** Reads the certificates and makes every step that is due. Rejects with a ClusterError when I/O fails. */
  readonly look: (signal: AbortSignal, wish?: KeeperWish) => Promise<Look>;
};

/** One to five writes are normal. More mean that replicas undo each other's writes: their clocks or options differ. */
const MAX_WRITES = 20;

/**
 * Keeps one set of certificates for any number of replicas. Each replica reads it at intervals, decides by `nextStep`
 * and writes with the `resourceVersion` that it read. A 409 means that another replica was first: read again. After a
 * crash between two writes, the next look continues from the state that was stored.
 */
export const createKeeper = (options: KeeperOptions): Keeper => {
  const { store, policy, now = Date.now, clock = () => performance.now() } = options;
  const { random = Math.random, pause = sleepUnless } = options;
  let held: Certificates | undefined;
  let seen: { readonly cert: string; readonly since: number } | undefined;
  /** When this process changed the path, or saw one without a token; undefined: it never did. */
  let pathSince: number | undefined;

  /**
   * How long this process has seen the next CA in every `caBundle`, in milliseconds; `undefined`: it is missing from
   * one.
   */
  const trustedForMs = ({ stored, bundles }: CertificateReading): number | undefined => {
    const cert = stored?.next?.cert;
    if (cert === undefined || bundles?.every((bundle) => trusts(bundle, cert)) !== true) seen = undefined;
    else if (seen?.cert !== cert) seen = { cert, since: clock() };
    return seen && clock() - seen.since;
  };

  /** A process that finds the token in the registration's paths need not wait: the API servers have read it. */
  const isPathKnown = ({ ca }: Certificates, paths: readonly string[]): boolean => {
    if (policy.hasPathToken !== true || paths.length === 0 || paths.some((path) => path !== webhookPath(ca, path)))
      return false;
    return pathSince === undefined || clock() - pathSince >= policy.settleMs;
  };

  const perform = async (step: CertificateStep, reading: CertificateReading, signal: AbortSignal): Promise<void> => {
    if (step.kind === "trust") {
      if (reading.paths.some((path) => tokenIn(path) === undefined)) pathSince = clock();
      await reading.trust(step.bundle, step.token, signal);
    } else await reading.write(await made(step, options, now()), signal);
    options.onStep?.(step);
    const note = isRepair(step)
      ? ({ type: "Warning", reason: "CertificateRepaired" } as const)
      : ({ type: "Normal", reason: "CertificateRenewed" } as const);
    await store.note({ ...note, message: stepText(step) }, signal);
  };

  const attempt = async (wish: KeeperWish, signal: AbortSignal): Promise<Look | CertificateStep> => {
    const reading = await store.read(signal);
    if (reading.kind === "refused") return reading;
    const { stored, bundles } = reading;
    const seenForMs = trustedForMs(reading);
    const step = nextStep(
      {
        stored,
        held,
        bundles,
        paths: reading.paths,
        trustedForMs: seenForMs !== undefined && wish.isSettled === true ? Infinity : seenForMs,
        isAsked: wish.isAsked === true,
      },
      policy,
      now(),
    );
    if (step.kind !== "rest") {
      await perform(step, reading, signal);
      return step;
    }
    const certificates = (held = stored as Certificates); // `undefined` always has a next step, so it does not get here
    return {
      kind: "kept",
      certificates,
      isTrusted: bundles?.every((bundle) => trusts(bundle, certificates.ca.cert)) ?? false,
      tokens: pathTokens(certificates, now()),
      isPathKnown: isPathKnown(certificates, reading.paths),
      rest: step,
      ...(bundles === undefined && { failure: "no-webhook-configuration" as const }),
    };
  };

  const look: Keeper["look"] = async (signal, wish = {}) => {
    let open = wish;
    for (let writes = 1; ; writes += 1) {
      try {
        const result = await attempt(open, signal);
        if (result.kind === "kept" || result.kind === "refused") return result;
        if (result.kind !== "trust" && result.makes.some((each) => each !== "leaf")) open = { ...wish, isAsked: false };
        if (writes >= MAX_WRITES)
          throw new Error(`${store.name} still changes after ${MAX_WRITES} writes: ${result.reason} again`);
      } catch (error) {
        if (writes >= MAX_WRITES || !(isConflict(error) || isTransient(error))) throw error;
        await pause(delayMs(error, writes, random()), signal);
      }
    }
  };
  return { look };
};

const made = async (
  { from, makes }: Exclude<CertificateStep, { kind: "trust" }>,
  { issuer, policy }: KeeperOptions,
  now: number,
): Promise<Certificates> => {
  const { names, leafMs, caMs } = policy;
  const ca = makes.includes("ca") ? await issuer.makeCa(caMs, now) : from.ca;
  const leaf = makes.includes("leaf") ? await issuer.makeLeaf(ca, names, leafMs, now) : from.leaf;
  return { ...from, ca, leaf, ...(makes.includes("next") && { next: await issuer.makeCa(caMs, now) }) };
};
