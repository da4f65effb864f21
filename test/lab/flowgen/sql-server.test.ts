/** The stand-in of SQL Server answers a client that verifies its certificate, and no other. */
import { once } from "node:events";
import { connect, type AddressInfo, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import t from "tap";
import { makeServingCertificate } from "../../../src/certificates/issue.ts";
import { createSqlServer } from "./sql-server.ts";
import { firstPacket, packets, tlsInPackets } from "./tls-in-packets.ts";

const { ca, cert, key } = await makeServingCertificate(["sql.corp.example.com"], 1, new Date());
const known = { user: "flowgen", password: "pässword" };
const server = createSqlServer({ cert, key, ...known, name: "orders" });
await once(server.listen(0, "127.0.0.1"), "listening");
t.teardown(() => server.close());
const { port } = server.address() as AddressInfo;

const PRELOGIN = 0x12;

/** The content of the next message. */
const read = async (stream: Socket): Promise<Buffer> => {
  for (let bytes: Buffer = Buffer.alloc(0); ;) {
    const [chunk] = (await once(stream, "data", { signal: AbortSignal.timeout(5_000) })) as [Buffer];
    bytes = Buffer.concat([bytes, chunk]);
    const first = firstPacket(bytes);
    if (first !== undefined) return first[0].content;
  }
};

/** As a client that takes `servername` for the server's name. */
const greet = async (servername: string): Promise<TLSSocket> => {
  const socket = connect(port, "127.0.0.1");
  t.teardown(() => socket.destroy());
  socket.write(packets(PRELOGIN, Buffer.from([0xff])));
  const prelogin = await read(socket);
  t.equal(prelogin.at(prelogin.readUInt16BE(6)), 1, "encryption is on");
  const { stream, handshakeIsOver } = tlsInPackets(socket);
  const tls = connectTls({ socket: stream, servername, ca, maxVersion: "TLSv1.2" });
  await once(tls, "secureConnect");
  handshakeIsOver();
  return tls;
};

/** LOGIN7 with a user and a password, and nothing else in it. */
const login = (user: string, password: string): Buffer => {
  const body = Buffer.alloc(94);
  const hidden = Buffer.from(password, "utf16le").map((byte) => (((byte & 0x0f) << 4) | (byte >> 4)) ^ 0xa5);
  body.writeUInt16LE(94, 40);
  body.writeUInt16LE(user.length, 42);
  body.writeUInt16LE(94 + 2 * user.length, 44);
  body.writeUInt16LE(password.length, 46);
  return packets(0x10, Buffer.concat([body, Buffer.from(user, "utf16le"), hidden]));
};

const ask = async (tls: TLSSocket, message: Buffer): Promise<string> => {
  const answer = read(tls);
  tls.write(message);
  return (await answer).toString("latin1").replaceAll("\0", "");
};
const query = (size = 0): Buffer => packets(0x01, Buffer.from(`select 1${" ".repeat(size)}`, "utf16le"));

t.test("a client with the right name, user and password gets a row", async (t) => {
  const tls = await greet("sql.corp.example.com");
  t.match(await ask(tls, login("flowgen", "pässword")), /^\xad.*stand-in/s);
  t.match(await ask(tls, query()), /^\x81.*name.*address.*orders.*127\.0\.0\.1/s);
  t.match(await ask(tls, query(20_000)), /orders/, "and for a query of many packets");
});

t.test("with another password the login fails, and there is no row", async (t) => {
  const tls = await greet("sql.corp.example.com");
  t.match(await ask(tls, login("flowgen", "password")), /Login failed for user 'flowgen'/);
  const closed = once(tls, "close");
  tls.write(query());
  await closed;
});

t.test("a client that takes it for another server refuses its certificate", async (t) => {
  await t.rejects(greet("erp.corp.example.com"), { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
});

t.test("any other first message than a prelogin ends the connection", async () => {
  const socket = connect(port, "127.0.0.1");
  socket.write(query());
  await once(socket, "close");
});
