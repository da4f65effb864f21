// TLS as SQL Server speaks it: the handshake's bytes travel inside TDS packets of type 0x12, and what follows travels
// bare ([MS-TDS] 2.2.6.5, 3.2.5.2). One stream for either end, to put below a TLSSocket.
import { Duplex } from "node:stream";
import type { Socket } from "node:net";

const HEADER = 8;
const PRELOGIN = 0x12;
const LARGEST = 4096;

/** A message as one TDS packet, or as many as it needs. */
export const packets = (type: number, message: Buffer): Buffer => {
  const room = LARGEST - HEADER;
  const count = Math.max(1, Math.ceil(message.length / room));
  return Buffer.concat(
    Array.from({ length: count }, (_, index) => {
      const part = message.subarray(index * room, (index + 1) * room);
      const header = Buffer.from([type, index === count - 1 ? 1 : 0, 0, 0, 0, 0, index + 1, 0]);
      header.writeUInt16BE(HEADER + part.length, 2);
      return Buffer.concat([header, part]);
    }),
  );
};

export type Packet = { readonly type: number; readonly isLast: boolean; readonly content: Buffer };

/** The first packet of these bytes and what is after it; undefined when it is not whole yet. */
export const firstPacket = (bytes: Buffer): readonly [Packet, Buffer] | undefined => {
  if (bytes.length < HEADER) return undefined;
  const length = bytes.readUInt16BE(2);
  if (length < HEADER) throw new Error(`a TDS packet of ${length} bytes`);
  if (bytes.length < length) return undefined;
  const packet = {
    type: bytes.readUInt8(0),
    isLast: (bytes.readUInt8(1) & 1) === 1,
    content: bytes.subarray(HEADER, length),
  };
  return [packet, bytes.subarray(length)];
};

export type TlsInPackets = {
  readonly stream: Duplex;
  /** A client calls it after its handshake; a server notices by itself. */
  readonly handshakeIsOver: () => void;
};

/** `begun`: bytes that were read from the socket already. */
export const tlsInPackets = (socket: Socket, begun: Buffer = Buffer.alloc(0)): TlsInPackets => {
  let isHandshake = true;
  let unread = begun;
  const stream = new Duplex({
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, done) => void socket.write(isHandshake ? packets(PRELOGIN, chunk) : chunk, done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  const take = (chunk: Buffer): void => {
    unread = Buffer.concat([unread, chunk]);
    while (unread.length > 0) {
      // Records of TLS begin with 20 to 23: no packet does. The client's first bare byte ends the handshake for the
      // server.
      if (unread.readUInt8(0) !== PRELOGIN) {
        isHandshake = false;
        stream.push(unread);
        unread = Buffer.alloc(0);
        return;
      }
      const next = firstPacket(unread);
      if (next === undefined) return;
      stream.push(next[0].content);
      unread = next[1];
    }
  };
  socket.on("data", (chunk: Buffer) => {
    try {
      take(chunk);
    } catch (error) {
      stream.destroy(error as Error);
    }
  });
  socket.once("end", () => stream.push(null));
  socket.once("error", (error) => stream.destroy(error));
  socket.once("close", () => stream.destroy());
  take(Buffer.alloc(0));
  return { stream, handshakeIsOver: () => (isHandshake = false) };
};
