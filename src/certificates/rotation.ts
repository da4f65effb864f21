import type { FastifyBaseLogger } from "fastify";
import type { Keeper, Look } from "./keeper.ts";
import { certificateFailures, type CertificateFailure, isRepair, stepText } from "./reasons.ts";
import type { Certificates } from "./secret.ts";
import type { CertificateStep } from "./step.ts";
import { messageOf } from "../core/message.ts";
import { endOf, readCertificate } from "./x509.ts";
import { readTls, type Tls } from "./tls.ts";

/** Counts and gauges that follow the certificates. */
export type RotationMetrics = {
  readonly certificateStep: (kind: CertificateStep["kind"], reason: CertificateStep["reason"]) => void;
  readonly certificateFailure: (failure: CertificateFailure) => void;
  /** Seconds since the epoch. */
  readonly caExpiry: (seconds: number) => void;
};

export type RotationOptions = {
  /** Where the certificates are, as messages call it. */
  readonly name: string;
  readonly makeKeeper: (onStep: (step: CertificateStep) => void) => Keeper;
  /** Used from the next connection on. */
  readonly take: (tls: Tls) => void;
  /** About this long between two looks. */
  readonly everyMs: number;
  readonly log: FastifyBaseLogger;
  readonly metrics: RotationMetrics;
  readonly random?: () => number;
};

export type Rotation = {
  /** Looks now, not at the next tick. */
  readonly check: () => Promise<void>;
  /** What the webhook still waits for before it can be called; `undefined` from the first time on that it is trusted. */
  readonly waitsFor: () => string | undefined;
  readonly stop: () => void;
};

const LOOK_MS = 15_000;
const FIRST_WAIT_MS = 250;

/**
 * Keeps the webhook's own certificate: looks at once, then soon again until the API servers trust it, then every `everyMs`, give or
 * take a fifth (replicas that start together do not stay together). What fails is said once and counted each time.
 */
export const startRotation = (options: RotationOptions): Rotation => {
  const { name, take, everyMs, log, metrics, random = Math.random } = options;
  let served = "";
  let waiting: string | undefined = `its certificate in ${name}`;
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
    if (authority) metrics.caExpiry(endOf(authority) / 1000);
    log.info(
      { certificates: name, certificateExpires: new Date(tls.expiry * 1000).toISOString() },
      "certificate taken",
    );
  };

  const learn = (look: Look): void => {
    if (look.kind === "kept") {
      takeNew(look.certificates);
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
      learn(await keeper.look(AbortSignal.any([stopped.signal, AbortSignal.timeout(LOOK_MS)])));
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
