import type { FastifyBaseLogger } from "fastify";
import type { Keeper, Look } from "./keeper.ts";
import { certificateFailures, type CertificateFailure, isRepair, stepText } from "./reasons.ts";
import type { Certificates } from "./secret.ts";
import type { CertificateStep } from "./step.ts";
import { messageOf } from "../core/message.ts";
import { expiryOf, readCertificate } from "./x509.ts";
import { readTls, type Tls } from "./tls.ts";

/** Counts and gauges that follow the certificates. */
export type RotationMetrics = {
  readonly certificateStep: (kind: CertificateStep["kind"], reason: CertificateStep["reason"]) => void;
  readonly certificateFailure: (failure: CertificateFailure) => void;
  /** Seconds since the epoch. */
  readonly caExpiry: (seconds: number) => void;
};

export type RotationOptions = {
  /** The Secret or folder of the certificates, for messages. */
  readonly name: string;
  readonly makeKeeper: (onStep: (step: CertificateStep) => void) => Keeper;
  /** Makes the server use a certificate from the next connection on. */
  readonly take: (tls: Tls) => void;
  /** Makes the server take these path tokens, and nothing else where `isNeeded`, from the next request on. */
  readonly takePath?: (tokens: readonly string[], isNeeded: boolean) => void;
  /** The mean time between two looks. */
  readonly everyMs: number;
  readonly log: FastifyBaseLogger;
  readonly metrics: RotationMetrics;
  readonly random?: () => number;
};

export type Rotation = {
  /** Looks now instead of at the next tick. */
  readonly check: () => Promise<void>;
  /**
   * Why the API servers cannot call the webhook yet; `undefined` once they have trusted its certificate for the first
   * time.
   */
  readonly waitsFor: () => string | undefined;
  readonly stop: () => void;
};

/** The longest that one look may take. */
const LOOK_TIMEOUT_MS = 15_000;
/** The pause after the first look while the certificate is not trusted yet; it doubles. */
const FIRST_WAIT_MS = 250;

/**
 * Keeps the webhook's own certificate. The first look is at once. Further looks follow at short intervals until the API
 * servers trust the certificate, then every `everyMs` ± 20 %, so that replicas that started together spread. A failure
 * is logged once and counted each time.
 */
export const startRotation = (options: RotationOptions): Rotation => {
  const { name, take, takePath, everyMs, log, metrics, random = Math.random } = options;
  let served = "";
  let waiting: string | undefined = `its certificate in ${name}`;
  let isPathNeeded = false;
  let lastFailure = "";
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  const stopped = new AbortController();

  const keeper = options.makeKeeper((step) => {
    metrics.certificateStep(step.kind, step.reason);
    const fields = { certificates: name, step: step.kind, reason: step.reason, detail: stepText(step) };
    log[isRepair(step) ? "warn" : "info"](fields, "certificates changed");
  });

  const failed = (failure: CertificateFailure, detail: string): void => {
    metrics.certificateFailure(failure);
    failures += 1;
    if (detail !== lastFailure) log.error({ certificates: name, reason: failure, detail }, "certificates not in order");
    lastFailure = detail;
  };

  const takeNew = ({ leaf, ca }: Certificates): void => {
    const pem = leaf.cert + leaf.key;
    if (pem === served) return;
    const tls = readTls(leaf.cert, leaf.key);
    take(tls);
    served = pem;
    const authority = readCertificate(ca.cert);
    if (authority) metrics.caExpiry(expiryOf(authority) / 1000);
    log.info(
      { certificates: name, certificateExpires: new Date(tls.expiry * 1000).toISOString() },
      "certificate taken",
    );
  };

  const learn = (look: Look): void => {
    if (look.kind === "kept") {
      takeNew(look.certificates);
      takePath?.(look.tokens, look.isPathKnown);
      if (look.isPathKnown && !isPathNeeded)
        log.info({ certificates: name }, "reviews are taken by the path with the token only");
      isPathNeeded = look.isPathKnown;
      if (waiting !== undefined) waiting = look.isTrusted ? undefined : "every caBundle to hold its CA";
    }
    if (look.failure !== undefined) {
      failed(look.failure, certificateFailures[look.failure]);
      return;
    }
    if (lastFailure !== "") log.info({ certificates: name }, "certificates in order again");
    lastFailure = "";
    failures = 0;
  };

  let checking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    try {
      learn(await keeper.look(AbortSignal.any([stopped.signal, AbortSignal.timeout(LOOK_TIMEOUT_MS)])));
    } catch (error) {
      if (!stopped.signal.aborted) failed("api-error", messageOf(error));
    }
  };
  const check = (): Promise<void> => (checking ??= look().finally(() => (checking = undefined)));

  const tick = async (): Promise<void> => {
    await check();
    if (stopped.signal.aborted) return;
    const ms = waiting === undefined ? everyMs : Math.min(everyMs, FIRST_WAIT_MS * 2 ** Math.min(failures, 10));
    timer = setTimeout(() => void tick(), ms * (0.8 + 0.4 * random()));
    timer.unref();
  };
  void tick();

  return {
    check,
    waitsFor: () => waiting,
    stop: () => {
      stopped.abort();
      clearTimeout(timer);
    },
  };
};
