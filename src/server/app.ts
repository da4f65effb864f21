import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type onRequestHookHandler,
} from "fastify";
import type { PodCreation } from "../admit.ts";
import { type Admission, skipped } from "../core/admission.ts";
import { createDeadline } from "./deadline.ts";
import type { Metrics } from "./metrics.ts";
import { tokenMatcher } from "./path-token.ts";
import { readReview, type Review, writeFailure, writeReview } from "./review.ts";
import { type Tls, tlsOptions } from "../certificates/tls.ts";

/**
 * The API server takes request bodies up to 3 MiB (kube-apiserver `MaxRequestBodyBytes`); a review holds an object, an old
 * object and a little more: 7 MiB, as controller-runtime has it.
 */
const BODY_LIMIT = 7 * 1024 * 1024;
/**
 * Longer than the 90 s that the API server's pool keeps an idle connection (Go net/http): the server never closes first. It
 * holds for a connection that has carried no request yet, too: Go keeps spare ones, and Node counts their silence as the
 * time that a request's headers take.
 */
const KEEP_ALIVE_MS = 120_000;

export type AppOptions = {
  readonly admit: (creation: PodCreation) => Promise<Admission>;
  readonly log: FastifyBaseLogger;
  readonly metrics: Metrics;
  /** Takes what is left to be done when an admission is answered; absent: it is done at once. */
  readonly afterwards?: (work: () => void) => void;
  /** False while the server drains. */
  readonly isReady: () => boolean;
  /** Why the webhook cannot be called yet. */
  readonly waitsFor?: () => string | undefined;
  /** The webhook is `/mutate/<token>` then, and `/mutate` does not exist: for a URL that anybody can reach. */
  readonly pathToken?: string;
  /** PEM; `later`: no handshake succeeds before a certificate is set; absent: plain HTTP. */
  readonly tls?: Pick<Tls, "cert" | "key"> | "later";
};

const atOnce = (work: () => void): void => {
  work();
};

/** The webhook's routes: `POST /mutate`, `GET /healthz`, `GET /readyz`. It does not listen yet. */
export const createApp = (options: AppOptions): FastifyInstance => {
  const { admit, log, metrics, afterwards = atOnce, isReady, waitsFor, pathToken, tls } = options;
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: KEEP_ALIVE_MS,
    return503OnClosing: false,
    childLoggerFactory: (logger) => logger,
    ...(tls && { https: tls === "later" ? {} : tlsOptions(tls) }),
  }) as unknown as FastifyInstance;
  app.server.headersTimeout = KEEP_ALIVE_MS;

  // While the server drains every answer is the last of its connection: the client knows before it could ask again. Set with
  // the answer, because an admission may have come before the end did.
  app.addHook("onSend", (_request, reply, payload, done) => {
    if (!isReady()) reply.header("connection", "close");
    done(null, payload);
  });

  // JSON and nothing else (415 otherwise). Not Fastify's own parser: it refuses bodies with a key __proto__, which an annotation may have.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
    try {
      done(null, JSON.parse(body as string));
    } catch {
      done(Object.assign(new Error("the body is not JSON"), { statusCode: 400 }));
    }
  });

  app.get("/healthz", () => "ok\n");
  app.get("/readyz", (_request, reply) => {
    const missing = waitsFor?.();
    const why = isReady() ? missing && `waits for ${missing}` : "draining";
    return reply.code(why === undefined ? 200 : 503).send(`${why ?? "ok"}\n`);
  });

  // Before the body is read. The answer is that of any path which does not exist.
  const route = pathToken === undefined ? { path: "/mutate" } : { path: "/mutate/:token", onRequest: guard(pathToken) };

  app.post(route.path, route, async (request, reply) => {
    const started = performance.now();
    const review = readReview(request.body);
    if (typeof review === "string") return failure(reply, 400, review);
    const admission = await conclude(review, (request.query as { timeout?: unknown }).timeout);
    const ms = performance.now() - started;
    afterwards(() => {
      metrics.admission(admission, review.namespace, ms / 1000);
      log[LEVEL[admission.outcome]](logFields(review, admission, ms), "admission");
    });
    return answer(reply, review, admission);
  });

  const conclude = async ({ pod, namespace, dryRun }: Review, timeout: unknown): Promise<Admission> => {
    if (pod === undefined) return skipped("not-pod-create");
    const deadline = createDeadline(timeout);
    try {
      return await admit({ pod, namespace, dryRun, signal: deadline.signal });
    } finally {
      deadline.lift();
    }
  };

  // Fastify's own would put the path, and with it a token, into answer and log.
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: "not found" }));
  app.setErrorHandler((error: Error & { statusCode?: number }, _request: FastifyRequest, reply: FastifyReply) => {
    const code = error.statusCode ?? 500;
    if (code >= 500) log.error({ err: error }, "request failed");
    return failure(reply, code, code >= 500 ? "internal error" : error.message);
  });
  return app;
};

const guard = (pathToken: string): onRequestHookHandler => {
  const isToken = tokenMatcher(pathToken);
  return (request, reply, done) => {
    if (isToken((request.params as { token: string }).token)) done();
    else reply.callNotFound();
  };
};

const LEVEL = { skip: "info", inject: "info", audit: "info", reject: "warn", fail: "error" } as const;

/** One line an admission: names and codes; never an env's value, never a pod. What is undefined is left out. */
const logFields = ({ uid, namespace, podName, dryRun }: Review, admission: Admission, ms: number): object => ({
  uid,
  namespace,
  pod: podName,
  outcome: admission.outcome,
  reason: admission.reason,
  gateway: admission.gateway,
  detail: admission.message,
  dryRun: dryRun || undefined,
  ms: Math.round(ms * 100) / 100,
});

const failure = (reply: FastifyReply, code: number, message: string): FastifyReply =>
  reply.code(code).send(writeFailure(code, message));

/** An admission that failed is answered without a review, so that the configured failurePolicy decides. */
const answer = (reply: FastifyReply, { uid }: Review, admission: Admission): FastifyReply =>
  admission.outcome === "fail"
    ? failure(reply, admission.reason === "deadline" ? 504 : 503, `${admission.reason}: ${admission.message ?? ""}`)
    : reply.type("application/json; charset=utf-8").send(writeReview(uid, admission));
