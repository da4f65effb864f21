import { type CertificateFailure, isRepair, stepText } from "./reasons.ts";
import type { Certificates, KeyPair } from "./secret.ts";
import type { CertificatePolicy } from "./judgement.ts";
import { type CertificateStep, nextStep, type Rest, trusts } from "./step.ts";
import type { CertificateReading, CertificateStore } from "./store.ts";
import { isConflict, isTransient } from "../cluster/cluster.ts";
import { delayMs, sleepUnless } from "../cluster/waiting.ts";

/** Makes keys and certificates. */
export type Issuer = {
  readonly makeCa: (lifetimeMs: number, now: number) => Promise<KeyPair>;
  /** Ends with its CA at the latest. */
  readonly makeLeaf: (ca: KeyPair, names: readonly string[], lifetimeMs: number, now: number) => Promise<KeyPair>;
};

export type KeeperOptions = {
  readonly store: CertificateStore;
  readonly issuer: Issuer;
  readonly policy: CertificatePolicy;
  /** Told of every write that was made, once it is made. */
  readonly onStep?: (step: CertificateStep) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Milliseconds, monotonic. */
  readonly clock?: () => number;
  readonly random?: () => number;
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<unknown>;
};

/** How it is, after everything was done that could be. */
export type Look =
  | {
      readonly kind: "kept";
      readonly certificates: Certificates;
      /** Every `caBundle` holds the CA of the certificate. */
      readonly isTrusted: boolean;
      readonly rest: Rest;
      readonly failure?: CertificateFailure;
    }
  | { readonly kind: "refused"; readonly failure: CertificateFailure };

export type KeeperWish = {
  /** Another CA, due or not. */
  readonly isAsked?: boolean;
  /** The caller knows that every API server has `caBundle` as it is. */
  readonly isSettled?: boolean;
};

export type Keeper = {
  /** Looks, and does what is due. Failed I/O is a ClusterError. */
  readonly look: (signal: AbortSignal, wish?: KeeperWish) => Promise<Look>;
};

/** A look takes one to five writes; more, and replicas are at odds (their clocks or options differ). */
const MAX_ATTEMPTS = 20;

/**
 * Keeps the certificates of any number of replicas in order: each looks now and then, decides by `nextStep`, and writes if it is
 * the first. Who loses reads what the winner wrote. A crash between two writes leaves a state that the next look goes on from.
 */
export const createKeeper = (options: KeeperOptions): Keeper => {
  const { store, policy, now = Date.now, clock = () => performance.now() } = options;
  const { random = Math.random, pause = sleepUnless } = options;
  let held: Certificates | undefined;
  let seen: { readonly cert: string; readonly since: number } | undefined;

  /** How long the next CA has been in every `caBundle`, as far as this process has seen. */
  const trustedForMs = ({ stored, bundles }: CertificateReading): number | undefined => {
    const cert = stored?.next?.cert;
    if (cert === undefined || bundles?.every((bundle) => trusts(bundle, cert)) !== true) seen = undefined;
    else if (seen?.cert !== cert) seen = { cert, since: clock() };
    return seen && clock() - seen.since;
  };

  const perform = async (step: CertificateStep, reading: CertificateReading, signal: AbortSignal): Promise<void> => {
    if (step.kind === "trust") await reading.trust(step.bundle, signal);
    else await reading.write(await made(step, options, now()), signal);
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
    const certificates = (held = stored as Certificates); // without any there is a step
    return {
      kind: "kept",
      certificates,
      isTrusted: bundles?.every((bundle) => trusts(bundle, certificates.ca.cert)) ?? false,
      rest: step,
      ...(bundles === undefined && { failure: "no-webhook-configuration" as const }),
    };
  };

  const look: Keeper["look"] = async (signal, wish = {}) => {
    let open = wish;
    for (let attempts = 1; ; attempts += 1) {
      try {
        const result = await attempt(open, signal);
        if (result.kind === "kept" || result.kind === "refused") return result;
        if (result.kind !== "trust" && result.makes.some((each) => each !== "leaf")) open = { ...wish, isAsked: false };
        if (attempts >= MAX_ATTEMPTS) throw new Error(`${store.name} does not come to rest: ${result.reason} again`);
      } catch (error) {
        if (attempts >= MAX_ATTEMPTS || !(isConflict(error) || isTransient(error))) throw error;
        await pause(delayMs(error, attempts, random()), signal);
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
