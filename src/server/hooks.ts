/** Checks of a request before its body is read. */
import type { FastifyRequest, onRequestHookHandler } from "fastify";
import { failure } from "./replies.ts";

/** The token in a request's path. */
export const pathTokenIn = ({ params }: FastifyRequest): string => (params as { readonly token: string }).token;

/** Whether a request is right; else the answer is that of any path which does not exist. */
export const onlyIf =
  (isRight: (request: FastifyRequest) => boolean): onRequestHookHandler =>
  (request, reply, done) => {
    if (isRight(request)) done();
    else reply.callNotFound();
  };

/** Refuses a caller that the guard finds a problem with. */
export const callerHook =
  (problemOf: (socket: object) => string | undefined): onRequestHookHandler =>
  (request, reply, done) => {
    const problem = problemOf(request.raw.socket);
    if (problem === undefined) done();
    else failure(reply.header("connection", "close"), 403, problem);
  };
