import type { FastifyBaseLogger } from "fastify";
import type { Config } from "../core/config/config.ts";
import { gatewayId } from "../core/names.ts";
import type { Repair } from "../provisioning/request.ts";
import type { Provisioning, Unrepaired } from "../provisioning/provisioner.ts";
import type { Metrics } from "./metrics/metrics.ts";

export type RepairParts = {
  readonly repair: Provisioning["repair"];
  /** The one that is in force. */
  readonly config: () => Config;
  /**
   * From the end of one look to the next, in milliseconds; a quarter more or less, so that replicas do not look
   * together.
   */
  readonly everyMs: number;
  /** Looks are more frequent while Deployments are changed one after another, or a gateway starts. */
  readonly isRolling: () => boolean;
  readonly log: FastifyBaseLogger;
  readonly metrics: Pick<Metrics, "repair">;
};

export type Repairs = {
  /** A look now, or right after the one that is under way. */
  readonly now: () => void;
  /** A look as soon as while Deployments are changed. */
  readonly soon: () => void;
  /** No further look begins. */
  readonly stop: () => void;
};

/** How long one gateway may take: as long as the longest admission. */
const GATEWAY_MS = 30_000;
/** From look to look while a gateway's Deployments are changed, or it starts. */
const ROLLING_MS = 3000;

/**
 * Keeps the gateways as table and config want them, without an admission: at once when the config changes (`now`), and
 * then at intervals. In mode audit it reads nothing. A gateway that cannot be kept is logged when that begins and when
 * its reason changes.
 */
export const startRepairs = ({ repair, config, everyMs, isRolling, log, metrics }: RepairParts): Repairs => {
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Infinity;
  let isRunning = false;
  let isStopped = false;
  let next: Repair | undefined;
  let reasons = new Map<string, string>();

  const isAsked = (): boolean => next !== undefined;

  const tell = (unrepaired: readonly Unrepaired[]): void => {
    const before = reasons;
    reasons = new Map();
    for (const { gateway, why } of unrepaired) {
      const id = gatewayId(gateway);
      const reason = "kind" in why ? why.reason : "api-error";
      const detail = "detail" in why ? why.detail : why.message;
      reasons.set(id, `${reason} ${detail}`);
      metrics.repair(reason);
      if (before.get(id) !== reasons.get(id)) log.error({ gateway: id, reason, detail }, "gateway not kept");
    }
    if (unrepaired.length === 0) metrics.repair("kept");
  };

  const look = async (): Promise<void> => {
    if (isRunning || isStopped) return;
    isRunning = true;
    const how = next ?? "drift";
    next = undefined;
    try {
      if (config().mode === "enforce") tell(await repair(config(), how, () => AbortSignal.timeout(GATEWAY_MS)));
    } catch (err) {
      log.error({ err }, "gateways not kept");
    }
    isRunning = false;
    const most = isRolling() ? Math.min(everyMs, ROLLING_MS) : everyMs;
    plan(isAsked() ? 0 : most * (0.75 + Math.random() / 2));
  };

  const plan = (ms: number): void => {
    clearTimeout(timer);
    if (isStopped) return;
    dueAt = performance.now() + ms;
    timer = setTimeout(() => void look(), ms);
    timer.unref();
  };

  const now = (): void => {
    next = "config";
    if (!isRunning) plan(0);
  };
  now();
  return {
    now,
    soon: () => {
      if (!isRunning && dueAt - performance.now() > ROLLING_MS) plan(ROLLING_MS);
    },
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
};
