/**
 * The limits of clients that are no API server. Each of these inputs stopped the webhook for all others before it was
 * bounded.
 */
import { once } from "node:events";
import { Agent as HttpAgent } from "node:http";
import { Agent } from "node:https";
import { connect as tlsConnect } from "node:tls";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import t, { type Test } from "tap";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import { readTls } from "../../src/certificates/tls.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { LIMITS, type Limits } from "../../src/server/limits.ts";
import { startServer, type ServerOptions } from "../../src/server/run.ts";
import { configOf, scripts } from "../making.ts";
import { until } from "../wait.ts";
import { admitAt, review, send, silent } from "./client.ts";

const config = configOf(`
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8"]}]
`);
const two = configOf(`
defaultGateway: a
gateways:
  - {name: a, namespace: flowgen-gateway, tunnels: [{name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8"]}]}
  - {name: b, namespace: flowgen-gateway, tunnels: [{name: wg0, secretName: b, allowedTargets: ["10.0.0.0/8"]}]}
`);
const certificate = await makeServingCertificate(["localhost", "127.0.0.1"], 1, new Date());
const tls = readTls(certificate.cert, certificate.key);

const start = async (t: Test, limits: Partial<Limits>, more: Partial<ServerOptions> = {}) => {
  const server = await startServer({
    cluster: createMemoryCluster(),
    config,
    scripts,
    version: "1.2.3",
    log: pino({ level: "silent" }),
    host: "127.0.0.1",
    port: 0,
    metricsPort: 0,
    drainSeconds: 0,
    limits: { ...LIMITS, ...limits },
    ...more,
  });
  t.teardown(server.stop);
  return server;
};

const head = (length: number): string =>
  `POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
/** The bytes that a server sends on a connection until its end. */
const lastWords = async (socket: Socket): Promise<string> => {
  let said = "";
  socket.setEncoding("utf8").on("data", (text: string) => (said += text));
  if (!socket.closed) await once(socket, "close");
  return said;
};
const isOpen = (socket: Socket): boolean => !socket.closed && !socket.readableEnded;
const honest = async (t: Test, url: string, agent?: Agent | HttpAgent): Promise<void> => {
  const call = url.startsWith("https:") ? { ca: certificate.ca } : {};
  t.match(await admitAt(url, agent ? { agent } : call), { status: 200, body: /"patch"/ });
};

const tlsAgentFor = (url: string): Agent | HttpAgent =>
  url.startsWith("https:")
    ? new Agent({ ca: certificate.ca, keepAlive: true, maxSockets: 1 })
    : new HttpAgent({ keepAlive: true, maxSockets: 1 });

/** An open connection, with TLS where the server speaks it, that sends nothing. */
const quiet = async (url: string): Promise<Socket> => {
  if (!url.startsWith("https:")) return (await silent(url)).resume();
  const socket = tlsConnect({ port: Number(new URL(url).port), host: "127.0.0.1", ca: certificate.ca });
  socket.on("error", () => undefined).resume();
  await Promise.race([once(socket, "secureConnect"), once(socket, "close")]);
  return socket;
};

// In parallel, because they wait for times to pass.
t.test("a stranger on the port", { jobs: 4 }, (t) => {
  t.test(
    "half-sent bodies: the largest goes when there is no room for all, and small ones are read",
    { buffered: true },
    async (t) => {
      const { url } = await start(t, { bodies: 200_000 });
      const sockets = await Promise.all([silent(url), silent(url), silent(url)]);
      const words = sockets.map(lastWords);
      for (const [index, socket] of sockets.entries()) {
        socket.write(head(500_000) + " ".repeat(60_000 + index * 1000));
        await sleep(20);
      }
      await honest(t, url);
      sockets[0].write(" ".repeat(40_000));
      t.match(await words[0], /^HTTP\/1\.1 503 .*too many bytes of reviews are under way/s);
      t.ok(sockets.slice(1).every(isOpen));
      await honest(t, url);
      sockets.forEach((socket) => socket.destroy());
    },
  );

  t.test("bytes are free again after an answer, a refusal and a broken connection", { buffered: true }, async (t) => {
    const { url } = await start(t, { bodies: 200_000 });
    const large = review + " ".repeat(150_000);
    for (let round = 0; round < 5; round += 1) {
      t.match(await send(`${url}/mutate`, { body: large }), { status: 200 });
      t.match(await send(`${url}/mutate`, { body: `${large}}` }), { status: 400 });
      t.match(await send(`${url}/nothing`, { body: "{}" }), { status: 404 });
      const broken = await silent(url);
      broken.write(head(500_000) + " ".repeat(150_000));
      await sleep(20);
      broken.resetAndDestroy();
      await sleep(20);
    }
  });

  t.test("a body, or a head, that does not come in its time", { buffered: true }, async (t) => {
    const { url } = await start(t, { arrivalMs: 200 });
    const agent = new HttpAgent({ keepAlive: true, maxSockets: 1 });
    t.teardown(() => agent.destroy());
    await honest(t, url, agent);
    const [body, firstHead, laterHead] = await Promise.all([silent(url), silent(url), silent(url)]);
    const words = [body, firstHead, laterHead].map(lastWords);
    body.write(head(100));
    firstHead.write("POST /mut");
    laterHead.write(`${head(review.length)}${review}`);
    await once(laterHead, "data");
    laterHead.write("POST /mut");
    t.match(await words[0], /^HTTP\/1\.1 408 .*took more than 200 ms/s);
    t.equal(await words[1], "");
    t.match(await words[2], /^HTTP\/1\.1 200 /);
    await honest(t, url, agent);
  });

  t.test("a body in pieces of one byte", { buffered: true }, async (t) => {
    const { url } = await start(t, {});
    const socket = await silent(url);
    const words = lastWords(socket);
    socket.write(
      "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    socket.write("1\r\n \r\n".repeat(17_000));
    t.match(await words, /^HTTP\/1\.1 400 .*more than 16384 pieces/s);
  });

  t.test("half a TLS handshake", { buffered: true }, async (t) => {
    // An honest handshake has this time too, on a busy machine.
    const { url } = await start(t, { arrivalMs: 1500 }, { tls });
    const socket = await silent(url);
    socket.write(Buffer.from("16030100c8010000c40303", "hex"));
    await lastWords(socket);
    await honest(t, url);
  });

  t.test(
    "silent connections: a number may stay, and those that carried a review stay with any number of others",
    { buffered: true },
    async (t) => {
      for (const more of [{}, { tls }]) {
        const { url } = await start(t, { silent: 3, arrivalMs: 1500 }, more);
        const agent = tlsAgentFor(url);
        t.teardown(() => agent.destroy());
        await honest(t, url, agent);
        const sockets = await Promise.all(Array.from({ length: 10 }, () => quiet(url)));
        for (const socket of sockets.slice(0, 7)) if (!socket.closed) await once(socket, "close");
        await sleep(400);
        t.strictSame(sockets.map(isOpen), [...Array<boolean>(7).fill(false), true, true, true], "the oldest go");
        const opened = Object.values(agent.freeSockets).flat().length;
        await honest(t, url, agent);
        t.equal(opened, 1, "the kept connection was not closed");
      }
    },
  );

  t.test(
    "too many connections: the oldest stranger's goes, silent or in the midst of a body",
    { buffered: true },
    async (t) => {
      for (const more of [{}, { tls }]) {
        const { url, metricsUrl } = await start(t, { connections: 8 }, more);
        const agent = tlsAgentFor(url);
        t.teardown(() => agent.destroy());
        await honest(t, url, agent);
        const busy = await Promise.all(Array.from({ length: 12 }, () => quiet(url)));
        for (const socket of busy) socket.write(head(1000));
        await sleep(50);
        await honest(t, url);
        const sockets = await Promise.all(Array.from({ length: 12 }, () => quiet(url)));
        await honest(t, url);
        await honest(t, url, agent);
        await sleep(20);
        const open = [...busy, ...sockets].filter(isOpen).length;
        t.ok(open <= 7 && open > 0, `${open} of 24`);
        t.equal((await send(metricsUrl)).status, 200);
      }
    },
  );

  t.test("where all connections are busy with whole reviews the new one goes", { buffered: true }, async (t) => {
    const { promise: opened, resolve: open } = Promise.withResolvers<undefined>();
    const asked = new Set<string>();
    const cluster = createMemoryCluster({
      before: ({ ref }) => {
        asked.add(ref.name);
        return opened;
      },
    });
    const { url } = await start(t, { connections: 2 }, { cluster, config: two });
    const other = review.replace(
      '"flowgen.io/private-targets"',
      '"flowgen.io/gateway":"b","flowgen.io/private-targets"',
    );
    const waiting = [admitAt(url), send(`${url}/mutate`, { body: other })];
    await until("both are under way", () => asked.has("a") && asked.has("b"));
    await t.rejects(admitAt(url));
    open(undefined);
    for (const answer of await Promise.all(waiting)) t.equal(answer.status, 200);
    await honest(t, url);
  });
  t.end();
});
