/** The answers of the routes. */
import type { FastifyReply } from "fastify";
import type { Admission } from "../core/admission.ts";
import { type Review, writeFailure, writeReview } from "./review.ts";

export const JSON_TYPE = "application/json; charset=utf-8";

export const failure = (reply: FastifyReply, code: number, message: string): FastifyReply =>
  reply.code(code).send(writeFailure(code, message));

/** An admission that failed is answered without a review, so that the configured failurePolicy decides. */
export const answer = (reply: FastifyReply, { uid }: Review, admission: Admission): FastifyReply => {
  // The next try is to reach another process.
  if (admission.reason === "superseded") reply.header("connection", "close");
  return admission.outcome === "fail"
    ? failure(reply, admission.reason === "deadline" ? 504 : 503, `${admission.reason}: ${admission.message ?? ""}`)
    : reply.type(JSON_TYPE).send(writeReview(uid, admission));
};

/** The rest of an unread body is cut off. Fastify's own answer would hold the path, and with it a token. */
export const notFound = (reply: FastifyReply): FastifyReply =>
  reply.code(404).header("connection", "close").send({ error: "not found" });
