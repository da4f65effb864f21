import type { IncomingMessage } from "node:http";
import type { FastifyRequest } from "fastify";
import type { Limits } from "./limits.ts";

/** The text of a request's body, and the bytes that it took. */
export type Body = { readonly text: Buffer; readonly bytes: number };

export type Bodies = {
  /**
   * Fastify's parser of `application/json`. Rejects with an error that carries the answer's `statusCode`. Undefined:
   * the path does not exist, so no handler reads the body.
   */
  readonly parse: (request: FastifyRequest, payload: IncomingMessage) => Promise<Body | undefined>;
  /** To be called with a body's `bytes` when its request is answered: they are free for others. */
  readonly release: (bytes: number) => void;
};

type Reading = { bytes: number; readonly refuse: (why: Error) => void };

/** Packets of the smallest path (536 bytes of data) make fewer of 7 MiB; each costs as much time as a kilobyte does. */
const MOST_PIECES = 16_384;

const httpError = (statusCode: number, message: string): Error => Object.assign(new Error(message), { statusCode });

/**
 * Reads bodies within the limits of one and of all together. Where all together are too large, the largest unfinished
 * body is refused with 503. So a caller who sends much, or slowly, does not keep out callers who send little.
 */
export const createBodies = (limits: Pick<Limits, "body" | "bodies" | "arrivalMs">): Bodies => {
  const { body: most, bodies: mostTogether, arrivalMs } = limits;
  const underWay = new Set<Reading>();
  let held = 0;

  const hold = (reading: Reading, bytes: number): void => {
    reading.bytes += bytes;
    held += bytes;
    if (held <= mostTogether) return;
    const largest = [...underWay].reduce((one, other) => (other.bytes > one.bytes ? other : one));
    largest.refuse(httpError(503, "too many bytes of reviews are under way: ask again"));
  };

  const read = (payload: IncomingMessage, expected: number): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const pieces = createPieces(Math.min(expected, most));
      let count = 0;
      const leave = (): void => {
        underWay.delete(reading);
        clearTimeout(timer);
        payload.off("data", take).off("end", end).off("error", abort).off("close", abort);
      };
      const refuse = (why: Error): void => {
        leave();
        held -= reading.bytes;
        reject(why);
      };
      const take = (piece: Buffer): void => {
        count += 1;
        if (reading.bytes + piece.length > most) refuse(tooLarge(most));
        else if (count > MOST_PIECES) refuse(httpError(400, `the body comes in more than ${MOST_PIECES} pieces`));
        else {
          pieces.add(piece);
          hold(reading, piece.length);
        }
      };
      const end = (): void => {
        leave();
        resolve(pieces.all());
      };
      const abort = (): void => {
        refuse(httpError(400, "the body ended before its end"));
      };
      const reading: Reading = { bytes: 0, refuse };
      const timer = setTimeout(() => {
        refuse(httpError(408, `the body took more than ${arrivalMs} ms`));
      }, arrivalMs);
      underWay.add(reading);
      payload.on("data", take).on("end", end).on("error", abort).on("close", abort);
    });

  const release = (bytes: number): void => {
    held -= bytes;
  };

  return {
    parse: async (request, payload) => {
      const length = Number(request.headers["content-length"] ?? most);
      if (request.is404) return undefined;
      if (length > most) throw tooLarge(most);
      const text = await read(payload, length);
      return { text, bytes: text.length };
    },
    release,
  };
};

/** The body of a request, which does not keep it until the answer. */
export const takeBody = (request: FastifyRequest): Body => {
  const body = request.body as Body | undefined;
  request.body = undefined;
  return body ?? NO_BODY;
};
const NO_BODY: Body = { text: Buffer.alloc(0), bytes: 0 };

const tooLarge = (most: number): Error => httpError(413, `the body is larger than ${most} bytes`);

/**
 * The pieces of a text, joined as they come. Kept apart they would be objects, and a text of single bytes would take a
 * hundred times its size. The first piece is kept as it is, since most bodies are one piece.
 */
const createPieces = (most: number) => {
  let room: Buffer | undefined;
  let bytes = 0;
  return {
    add: (piece: Buffer): void => {
      const needed = bytes + piece.length;
      if (room === undefined) room = piece;
      else {
        if (needed > room.length) room = copied(room, bytes, Math.max(needed, Math.min(2 * needed, most)));
        piece.copy(room, bytes);
      }
      bytes = needed;
    },
    all: (): Buffer => (room ?? Buffer.alloc(0)).subarray(0, bytes),
  };
};

const copied = (from: Buffer, bytes: number, size: number): Buffer => {
  const to = Buffer.allocUnsafeSlow(size);
  from.copy(to, 0, 0, bytes);
  return to;
};
