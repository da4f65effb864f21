import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from "fastify";
import type { PodCreation, Turn } from "../admit.ts";
import { type Admission, skipped } from "../core/admission.ts";
import { admissionLog } from "./admission-log.ts";
import { atOnce } from "./afterwards.ts";
import { callerGuard, type CallerRule } from "./callers.ts";
import { createBodies, takeBody } from "./bodies.ts";
import { createDeadline } from "./deadline.ts";
import { callerHook, onlyIf, pathTokenIn } from "./hooks.ts";
import { type Limits, LIMITS } from "./limits.ts";
import type { Metrics } from "./metrics/metrics.ts";
import { LONGEST_TOKEN, type OwnPath, tokenMatcher } from "./path-token.ts";
import { answer, failure, JSON_TYPE, notFound } from "./replies.ts";
import { createReviewReader, type Review, type Unread } from "./review.ts";
import { createTurns } from "./turns.ts";
import { readWorkloadReview, warningsFor, writeWarnings } from "./warn.ts";
import { type Tls, tlsOptions } from "../certificates/tls.ts";

export type AppOptions = {
  readonly admit: (creation: PodCreation) => Promise<Admission>;
  readonly log: FastifyBaseLogger;
  readonly metrics: Metrics;
  /** Takes what is left to be done when an admission is answered; absent: it is done at once. */
  readonly afterwards?: (work: () => void) => void;
  /** Called with each admission after its answer, beside the log. */
  readonly tellWorkload?: (review: Review, admission: Admission) => void;
  /** False while the server drains. */
  readonly isReady: () => boolean;
  /** Why the webhook cannot be called yet. */
  readonly waitsFor?: () => string | undefined;
  /** For a public URL: the webhook is `/mutate/<token>`, and `/mutate` does not exist. */
  readonly pathToken?: string;
  /** The webhook is `/mutate/<token>` with tokens of its own, and `/mutate` too while that is not refused. */
  readonly ownPath?: OwnPath;
  /** Default: LIMITS. */
  readonly limits?: Limits;
  /** With TLS: the callers whose reviews are accepted; default: every caller. */
  readonly callers?: CallerRule;
  /** PEM; `later`: no handshake succeeds before a certificate is set; absent: plain HTTP. */
  readonly tls?: Pick<Tls, "cert" | "key"> | "later";
};

/** The webhook's routes: `POST /mutate`, `POST /warn`, `GET /healthz`, `GET /readyz`. It does not listen yet. */
export const createApp = (options: AppOptions): FastifyInstance => {
  const {
    admit,
    log,
    metrics,
    afterwards = atOnce,
    tellWorkload,
    isReady,
    waitsFor,
    pathToken,
    ownPath,
    callers,
    tls,
    limits = LIMITS,
  } = options;
  const { idleMs } = limits;
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    keepAliveTimeout: idleMs,
    requestTimeout: idleMs,
    return503OnClosing: false,
    childLoggerFactory: (logger) => logger,
    routerOptions: { maxParamLength: LONGEST_TOKEN },
    // No route has a JSON schema: Fastify's own compilers would be loaded at the start for none.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    // Fastify's own answers would repeat the path, and with it a token.
    frameworkErrors: (_error, _request, reply) => {
      notFound(reply);
    },
    ...(tls && { https: { ...tlsServerOptions(limits), ...(tls === "later" ? {} : tlsOptions(tls, callers?.ca)) } }),
  }) as unknown as FastifyInstance;
  // Node counts the silence of a connection that has carried no request as the time that a head takes.
  app.server.headersTimeout = idleMs;

  // While the server drains every answer is the last of its connection: the client knows before it could ask again. Set
  // with the answer, because an admission may have come before the end did.
  app.addHook("onSend", (_request, reply, payload, done) => {
    if (!isReady()) reply.header("connection", "close");
    done(null, payload);
  });

  // JSON and nothing else (415 otherwise). Not Fastify's own parser: it refuses bodies with a key __proto__, which an
  // annotation may have.
  app.removeAllContentTypeParsers();
  const bodies = createBodies(limits);
  app.addContentTypeParser("application/json", bodies.parse);
  const readReview = createReviewReader();
  // The rest is left to be read: reviews of namespaces that need not wait.
  const turns = createTurns((3 / 4) * limits.bodies);

  app.get("/healthz", () => "ok\n");
  app.get("/readyz", (_request, reply) => {
    const missing = waitsFor?.();
    const why = isReady() ? missing && `waits for ${missing}` : "draining";
    return reply.code(why === undefined ? 200 : 503).send(`${why ?? "ok"}\n`);
  });

  const logAdmission = admissionLog(log);
  // Before the body is read.
  const callerHooks = tls ? [callerHook(callerGuard(callers, (kind) => metrics.caller(kind), log))] : [];
  const mutate = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const started = performance.now();
    const concluded = await conclude(request);
    if ("problem" in concluded) return failure(reply, concluded.status, concluded.problem);
    const { review, admission } = concluded;
    const ms = performance.now() - started;
    afterwards(() => {
      metrics.admission(admission, review.namespace, ms / 1000);
      logAdmission(review, admission, ms);
      tellWorkload?.(review, admission);
    });
    return answer(reply, review, admission);
  };
  const warn = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { bytes, text } = takeBody(request);
    const deadline = createDeadline((request.query as { timeout?: unknown }).timeout);
    try {
      const review = readWorkloadReview(text);
      if ("problem" in review) return await failure(reply, review.status, review.problem);
      const asked = { signal: deadline.signal, turn: turns.of(review.namespace, bytes) };
      const warnings = await warningsFor(review, admit, asked);
      return await reply.type(JSON_TYPE).send(writeWarnings(review.uid, warnings));
    } finally {
      deadline.lift();
      bodies.release(bytes);
    }
  };

  const isToken = pathToken === undefined ? ownPath?.isTaken : tokenMatcher(pathToken);
  const isOpen = ownPath === undefined ? () => true : () => !ownPath.isNeeded();
  for (const [path, handler] of [
    ["/mutate", mutate],
    ["/warn", warn],
  ] as const) {
    if (isToken)
      app.post(
        `${path}/:token`,
        { onRequest: [onlyIf((request) => isToken(pathTokenIn(request))), ...callerHooks] },
        handler,
      );
    if (pathToken === undefined) app.post(path, { onRequest: [onlyIf(isOpen), ...callerHooks] }, handler);
  }

  /** How the admission in a request ends, or why there is none in it. */
  const conclude = async (request: FastifyRequest): Promise<Concluded | Unread> => {
    const { bytes, text } = takeBody(request);
    try {
      const head = readReview(text);
      if ("problem" in head) return head;
      const turn = turns.of(head.namespace, bytes);
      const review = await turn.take(head.readObject);
      if ("problem" in review) return review;
      return { review, admission: await decide(review, turn, (request.query as { timeout?: unknown }).timeout) };
    } finally {
      bodies.release(bytes);
    }
  };

  const decide = async ({ pod, text, namespace, dryRun }: Review, turn: Turn, timeout: unknown): Promise<Admission> => {
    if (pod === undefined) return skipped("not-pod-create");
    const deadline = createDeadline(timeout);
    try {
      return await admit({ pod, text, namespace, dryRun, signal: deadline.signal, turn });
    } finally {
      deadline.lift();
    }
  };

  app.setNotFoundHandler((_request, reply) => notFound(reply));
  app.setErrorHandler((error: Error & { statusCode?: number }, _request: FastifyRequest, reply: FastifyReply) => {
    const code = error.statusCode ?? 500;
    if (code === 500) log.error({ err: error }, "request failed");
    return failure(reply, code, code === 500 ? "internal error" : error.message);
  });
  return app;
};

const noSchemas = (): never => {
  throw new Error("routes of the webhook have no JSON schema");
};

type Concluded = { readonly review: Review; readonly admission: Admission };

/** Every client is asked for a certificate, and served without: kubelets have none, and ask for `/readyz`. */
const tlsServerOptions = ({ arrivalMs }: Limits): object => ({
  handshakeTimeout: arrivalMs,
  requestCert: true,
  rejectUnauthorized: false,
});
