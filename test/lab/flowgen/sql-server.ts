// A stand-in of SQL Server: its login over TLS ([MS-TDS]: prelogin, TLS 1.2 inside packets, LOGIN7), and one row for
// every query. There is no server of its protocol to be had as a module.
import { createServer, type Server, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import { firstPacket, packets, tlsInPackets } from "./tls-in-packets.ts";

const type = { batch: 0x01, call: 0x03, answer: 0x04, login: 0x10, prelogin: 0x12 };
const token = { columns: 0x81, error: 0xaa, loginAck: 0xad, row: 0xd1, done: 0xfd };
const DONE_WITH_COUNT = 0x10;
const TDS_7_4 = 0x74000004;
const LOGIN_FAILED = 18456;

export type SqlServer = {
  readonly cert: string;
  readonly key: string;
  readonly user: string;
  readonly password: string;
  /** The content of its one row: `name`, and the address at which it was reached. */
  readonly name: string;
};

/** Not listening yet. */
export const createSqlServer = (options: SqlServer): Server => {
  const secureContext = createSecureContext({ cert: options.cert, key: options.key, maxVersion: "TLSv1.2" });
  return createServer((socket) => {
    socket.on("error", () => socket.destroy());
    whenGreeted(socket, (begun) => {
      const tls = new TLSSocket(tlsInPackets(socket, begun).stream, { isServer: true, secureContext });
      tls.on("error", () => socket.destroy());
      converse(tls, options, socket.localAddress ?? "");
    });
  });
};

/** Answers the client's prelogin, which the certificate's check comes after; hands on what was read after it. */
const whenGreeted = (socket: Socket, next: (begun: Buffer) => void): void => {
  let unread: Buffer = Buffer.alloc(0);
  const read = (chunk: Buffer): void => {
    unread = Buffer.concat([unread, chunk]);
    const first = firstPacket(unread);
    if (first === undefined) return;
    socket.off("data", read);
    if (first[0].type !== type.prelogin) return void socket.destroy();
    socket.write(packets(type.answer, prelogin));
    next(first[1]);
  };
  socket.on("data", read);
};

/** Two options, version 16.0 and encryption on, each with its place and length; then their values. */
const prelogin = Buffer.from([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 16, 0, 0x03, 0xe8, 0, 0, 1]);

const converse = (tls: TLSSocket, options: SqlServer, address: string): void => {
  let unread: Buffer = Buffer.alloc(0);
  let message: Buffer = Buffer.alloc(0);
  let isKnown = false;
  const answer = (asked: number): Buffer | undefined => {
    if (asked === type.login) {
      isKnown = isLogin(message, options);
      return isKnown ? loggedIn : loginFailed(options.user);
    }
    return isKnown && (asked === type.batch || asked === type.call) ? row(options.name, address) : undefined;
  };
  tls.on("data", (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk]);
    for (let next = firstPacket(unread); next !== undefined; next = firstPacket(unread)) {
      const [packet, after] = next;
      unread = after;
      message = Buffer.concat([message, packet.content]);
      if (!packet.isLast) continue;
      const said = answer(packet.type);
      message = Buffer.alloc(0);
      if (said === undefined) return void tls.destroy();
      tls.write(packets(type.answer, said));
    }
  });
};

/** LOGIN7: from byte 36 on pairs of place and length (in characters): host, user, password … */
const isLogin = (login: Buffer, { user, password }: SqlServer): boolean => {
  const at = (pair: number): Buffer => {
    const start = login.readUInt16LE(36 + pair * 4);
    return login.subarray(start, start + 2 * login.readUInt16LE(38 + pair * 4));
  };
  const hidden = at(2).map((byte) => byte ^ 0xa5); // and with the halves of each byte exchanged
  const clear = Buffer.from(hidden.map((byte) => ((byte & 0x0f) << 4) | (byte >> 4)));
  return at(1).toString("utf16le") === user && clear.toString("utf16le") === password;
};

const u16 = (value: number): Buffer => Buffer.from([value & 0xff, value >> 8]);
const u32 = (value: number): Buffer => Buffer.concat([u16(value & 0xffff), u16(value >>> 16)]);
const wide = (text: string): Buffer => Buffer.from(text, "utf16le");
const short = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), wide(text)]);
const long = (text: string): Buffer => Buffer.concat([u16(text.length), wide(text)]);
const withLength = (kind: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.from([kind]), u16(content.length), content]);

const done = (status: number, rows: number): Buffer =>
  Buffer.concat([Buffer.from([token.done]), u16(status), u16(0), u32(rows), u32(0)]);

const bigEndian = (value: number): Buffer => u32(value).reverse();
const ack = Buffer.concat([Buffer.from([1]), bigEndian(TDS_7_4), short("stand-in"), bigEndian(0x100003e8)]);
const loggedIn = Buffer.concat([withLength(token.loginAck, ack), done(0, 0)]);

const loginFailed = (user: string): Buffer => {
  const said = [long(`Login failed for user '${user}'.`), short("stand-in"), short(""), u32(1)];
  const error = Buffer.concat([u32(LOGIN_FAILED), Buffer.from([1, 14]), ...said]);
  return Buffer.concat([withLength(token.error, error), done(2, 0)]);
};

const NVARCHAR = 0xe7;
const COLLATION = Buffer.from([0x09, 0x04, 0xd0, 0x00, 0x34]);

const row = (...values: readonly [name: string, address: string]): Buffer => {
  const column = (name: string): Buffer =>
    Buffer.concat([u32(0), u16(1), Buffer.from([NVARCHAR]), u16(200), COLLATION, short(name)]);
  const columns = [Buffer.from([token.columns]), u16(2), column("name"), column("address")];
  const cells = values.map((value) => Buffer.concat([u16(2 * value.length), wide(value)]));
  return Buffer.concat([...columns, Buffer.from([token.row]), ...cells, done(DONE_WITH_COUNT, 1)]);
};
