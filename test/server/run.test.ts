import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { Agent } from "node:https";
import { Agent as HttpAgent } from "node:http";
import { connect as tlsConnect, type SecureVersion } from "node:tls";
import { pino } from "pino";
import t, { type Test } from "tap";
import { ClusterError, type Verb } from "../../src/cluster/cluster.ts";
import { createMemoryCluster, type MemoryOptions } from "../../src/emulator/memory.ts";
import { createApp } from "../../src/server/app.ts";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import { listenOn } from "../../src/server/listen.ts";
import { createMetrics } from "../../src/server/metrics/metrics.ts";
import { startServer, type ServerOptions } from "../../src/server/run.ts";
import { readTls } from "../../src/certificates/tls.ts";
import { configOf, scripts } from "../making.ts";
import { type ClientAnswer, admitAt, review, send, silent, traffic } from "./client.ts";

const config = configOf(`
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8"]}]
`);
const certificate = await makeServingCertificate(["localhost", "127.0.0.1"], 1, new Date());
const next = await makeServingCertificate(["localhost", "127.0.0.1"], 2, new Date());
const trusted = certificate.ca + next.ca;
const tls = readTls(certificate.cert, certificate.key);
const log = pino({ level: "silent" });
const serialOf = (pem: string): string => new X509Certificate(pem).serialNumber;

const options = (more: Partial<ServerOptions> = {}, memory: MemoryOptions = {}): ServerOptions => ({
  cluster: createMemoryCluster(memory),
  config,
  scripts,
  version: "1.2.3",
  log,
  host: "127.0.0.1",
  port: 0,
  metricsPort: 0,
  drainSeconds: 0,
  ...more,
});
const start = async (t: Test, more: Partial<ServerOptions> = {}, memory: MemoryOptions = {}) => {
  const server = await startServer(options(more, memory));
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= server.stop());
  t.teardown(stop);
  return { ...server, stop };
};
const verdict = ({ body }: ClientAnswer) => (JSON.parse(body) as { response: Record<string, unknown> }).response;
const metricsOf = async (url: string): Promise<string> => (await send(url)).body;
/** A cluster whose first answer waits until it is let go. */
const gate = () => {
  const { promise: opened, resolve: open } = Promise.withResolvers<undefined>();
  const { promise: entered, resolve: enter } = Promise.withResolvers<undefined>();
  const before = (): Promise<void> => {
    enter(undefined);
    return opened;
  };
  return { before, open: () => open(undefined), entered };
};

t.test("a review over TLS is answered, to a client that trusts the CA", async (t) => {
  const { url } = await start(t, { tls });
  t.match(url, /^https:\/\/127\.0\.0\.1:\d+$/);
  t.match(verdict(await admitAt(url, { ca: certificate.ca })), { allowed: true, patchType: "JSONPatch" });
  await t.rejects(admitAt(url, { ca: next.ca }), { message: /UNABLE_TO_VERIFY|CERT_SIGNATURE/ });
  t.match(verdict(await admitAt(url, { ca: certificate.ca })), { allowed: true }, "and goes on after a bad handshake");
});

t.test("TLS 1.2 at least, before and after another certificate is set", async (t) => {
  const { url, setTls } = await start(t, { tls });
  const protocol = (version: SecureVersion): Promise<string> =>
    new Promise((resolve) => {
      const ciphers = "DEFAULT@SECLEVEL=0";
      const versions = { minVersion: version, maxVersion: version };
      const socket = tlsConnect({
        port: Number(new URL(url).port),
        host: "127.0.0.1",
        ca: trusted,
        ciphers,
        ...versions,
      });
      socket.once("secureConnect", () => {
        resolve(socket.getProtocol() ?? "");
        socket.destroy();
      });
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    });
  for (const round of ["before", "after"]) {
    t.equal(await protocol("TLSv1.2"), "TLSv1.2", round);
    t.equal(await protocol("TLSv1.3"), "TLSv1.3", round);
    t.equal(await protocol("TLSv1.1"), "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", round);
    setTls(readTls(next.cert, next.key));
  }
});

t.test("plain HTTP", async (t) => {
  const { url, metricsUrl } = await start(t);
  t.match(url, /^http:/);
  t.match(verdict(await admitAt(url)), { allowed: true });
  t.notMatch(await metricsOf(metricsUrl), /expiry_timestamp_seconds [1-9]/);
});

t.test("an idle connection outlives the API server's 90 s, whether it has carried a request or not", async (t) => {
  for (const each of [{}, { tls }]) {
    const app = createApp({
      admit: () => Promise.reject(new Error("none")),
      log,
      metrics: createMetrics("0"),
      isReady: () => true,
      ...each,
    });
    const { keepAliveTimeout, headersTimeout, requestTimeout, timeout } = app.server;
    for (const ms of [keepAliveTimeout, headersTimeout, requestTimeout]) t.ok(ms > 90_000, String(ms));
    t.ok(headersTimeout <= requestTimeout, "as Node wants it");
    t.equal(timeout, 0, "no other timeout of the socket");
    await app.close();
  }
  const { url } = await start(t, { tls });
  const agent = new Agent({ ca: certificate.ca, keepAlive: true });
  t.match((await admitAt(url, { agent })).headers, { connection: "keep-alive", "keep-alive": "timeout=120" });
  agent.destroy();
});

t.test("metrics, on their own port only", async (t) => {
  let conflicts = 1;
  const before = ({ verb, ref }: { verb: Verb; ref: ClusterError["ref"] }): undefined => {
    if (verb !== "apply" || ref.kind !== "ConfigMap" || conflicts === 0) return;
    conflicts -= 1;
    throw new ClusterError({ verb, ref, code: 409, reason: "Conflict", says: "another was faster" });
  };
  const { url, metricsUrl } = await start(t, { tls }, { before });
  const agent = new Agent({ ca: certificate.ca, keepAlive: true });
  t.teardown(() => agent.destroy());
  await admitAt(url, { agent });
  await admitAt(url, { agent });
  await send(`${url}/mutate`, { agent, body: review.replace("mssql=10.0.0.5", "mssql=8.8.8.8") });
  await send(`${url}/mutate`, { agent, body: review.replace('"CREATE"', '"UPDATE"') });
  const text = await metricsOf(metricsUrl);
  for (const line of [
    /^flowgen_gateway_admissions_total\{outcome="inject",reason="injected"\} 2$/m,
    /^flowgen_gateway_admissions_total\{outcome="reject",reason="target-not-allowed"\} 1$/m,
    /^flowgen_gateway_admissions_total\{outcome="skip",reason="not-pod-create"\} 1$/m,
    /^flowgen_gateway_admission_duration_seconds_count\{outcome="inject"\} 2$/m,
    /^flowgen_gateway_admission_duration_seconds_bucket\{le="0.25",outcome="inject"\} \d$/m,
    /^flowgen_gateway_api_calls_total\{verb="get",kind="ConfigMap",code="200"\} \d+$/m,
    /^flowgen_gateway_api_calls_total\{verb="apply",kind="ConfigMap",code="409"\} 1$/m,
    /^flowgen_gateway_forwards\{gateway="flowgen-gateway\/flowgen-wireguard-gateway"\} 2$/m,
    /^flowgen_gateway_table_conflicts_total\{gateway="flowgen-gateway\/flowgen-wireguard-gateway"\} 1$/m,
    /^flowgen_gateway_reload_failures_total\{file="config"\} 0$/m,
    /^flowgen_gateway_reload_failures_total\{file="tls"\} 0$/m,
    new RegExp(`^flowgen_gateway_certificate_expiry_timestamp_seconds ${tls.expiry}$`, "m"),
    /^process_cpu_seconds_total /m,
  ])
    t.match(text, line);
  t.equal((await send(`${metricsUrl}?name=x`)).status, 200);
  t.equal((await send(metricsUrl.replace("/metrics", "/mutate"))).status, 404);
  t.equal((await send(metricsUrl, { body: "{}" })).status, 404);
  t.equal((await send(`${url}/metrics`, { agent })).status, 404, "not on the webhook's");
});

t.test("another certificate under continuous requests: none fails, and new connections get the new one", async (t) => {
  const { url, setTls, metricsUrl } = await start(t, { tls });
  const serials = [certificate, next].map(({ cert }) => serialOf(cert));
  const requests = traffic(url, trusted);
  await requests.answered(20);
  t.strictSame(new Set(requests.answers.map(({ serial }) => serial)), new Set([serials[0]]));
  for (let round = 1; round <= 6; round += 1) {
    const each = round % 2 === 1 ? next : certificate;
    setTls(readTls(each.cert, each.key));
    t.equal((await admitAt(url, { ca: trusted })).serial, serials[round % 2], "a new connection");
    await requests.answered(5);
  }
  t.match(await metricsOf(metricsUrl), new RegExp(`expiry_timestamp_seconds ${tls.expiry}$`, "m"));
  setTls(readTls(next.cert, next.key));
  t.match(
    await metricsOf(metricsUrl),
    new RegExp(`expiry_timestamp_seconds ${readTls(next.cert, next.key).expiry}$`, "m"),
  );
  await requests.end();
  t.strictSame(requests.failures, []);
  t.strictSame(new Set(requests.answers.map(({ status }) => status)), new Set([200]));
});

t.test("a resumed TLS session does not hold on to the old certificate", async (t) => {
  const { url, setTls } = await start(t, { tls });
  const agent = new Agent({ ca: trusted, maxCachedSessions: 10 });
  t.equal((await admitAt(url, { agent })).serial, serialOf(certificate.cert));
  setTls(readTls(next.cert, next.key));
  t.equal((await admitAt(url, { agent })).serial, serialOf(next.cert));
});

t.test("another config is used from the next admission on; one under way keeps its own", async (t) => {
  const { before, open, entered } = gate();
  const { url, setConfig } = await start(t, {}, { before });
  const underWay = admitAt(url);
  await entered;
  setConfig({ ...config, mode: "audit" });
  const after = admitAt(url);
  open();
  t.match(verdict(await underWay), { allowed: true, patchType: "JSONPatch" });
  t.match(verdict(await after), { allowed: true, patch: undefined, auditAnnotations: { outcome: "audit" } });
});

t.test("draining: not ready, every answer the last of its connection, then closed", async (t) => {
  const { url, metricsUrl, stop } = await start(t, { tls, drainSeconds: 0.6 });
  const agent = new Agent({ ca: certificate.ca, keepAlive: true });
  t.equal((await send(`${url}/readyz`, { agent })).status, 200);
  const requests = traffic(url, certificate.ca);
  await requests.answered(10);
  const stopped = stop();
  const [ready, healthy, admitted, metrics] = await Promise.all([
    send(`${url}/readyz`, { agent }),
    send(`${url}/healthz`, { ca: certificate.ca }),
    admitAt(url, { ca: certificate.ca }),
    metricsOf(metricsUrl),
  ]);
  t.match(ready, { status: 503, headers: { connection: "close" } });
  for (const answer of [healthy, admitted]) t.match(answer, { status: 200, headers: { connection: "close" } });
  t.match(metrics, /admissions_total/, "still measured");
  await stopped;
  await requests.ended;
  t.strictSame(requests.failures, []);
  await t.rejects(admitAt(url, { agent }), { message: "ECONNREFUSED" });
  await t.rejects(metricsOf(metricsUrl), { message: "ECONNREFUSED" });
});

t.test("stopping waits for an admission that is under way, and answers it", async (t) => {
  const { before, open, entered } = gate();
  const { url, stop } = await start(t, { tls }, { before });
  const underWay = admitAt(url, { agent: new Agent({ ca: certificate.ca, keepAlive: true }) });
  await entered;
  let isStopped = false;
  const stopped = stop().then(() => (isStopped = true));
  const isListening = (): Promise<boolean> =>
    send(`${url}/healthz`, { ca: certificate.ca }).then(
      () => true,
      () => false,
    );
  while (await isListening()); // and not a moment more
  t.equal(isStopped, false);
  open();
  t.match(await underWay, { status: 200, headers: { connection: "close" } });
  await stopped;
});

// Without a limit of their own they would stay for the 120 s that a connection may be silent. The test's time shows
// which limit applied.
const soon = { timeout: 30_000 };
t.test("no connection delays the end: silent ones, half a handshake, an idle keep-alive one", soon, async (t) => {
  const { url, metricsUrl, stop } = await start(t, { tls });
  const plain = await start(t);
  const agent = new HttpAgent({ keepAlive: true });
  await admitAt(plain.url, { agent });
  const sockets = await Promise.all([silent(url), silent(plain.url), silent(metricsUrl)]);
  const handshake = await silent(url);
  handshake.write(Buffer.from("16030100c8010000c40303", "hex"));
  const spare = tlsConnect({ port: Number(new URL(url).port), host: "127.0.0.1", ca: certificate.ca });
  await once(spare, "secureConnect");
  spare.on("error", () => undefined).resume();
  const closed = Promise.all([...sockets, handshake, spare].map((socket) => once(socket.resume(), "close")));
  await Promise.all([stop(), plain.stop()]);
  await closed;
  t.ok([...sockets, handshake, spare].every((socket) => socket.closed));
  agent.destroy();
});

t.test("no input of a client ends the process", async (t) => {
  const { before, open, entered } = gate();
  const { url } = await start(t, {}, { before });
  const head = `POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${review.length}\r\n\r\n`;
  const [whole, half, garbage] = await Promise.all([silent(url), silent(url), silent(url)]);
  whole.write(head + review);
  await entered;
  whole.resetAndDestroy();
  half.write(head + review.slice(0, 100));
  half.resetAndDestroy();
  garbage.write("\0\x16\x03 nonsense\r\n\r\n");
  const [reply] = (await once(garbage, "data")) as [Buffer];
  t.match(reply.toString(), /^HTTP\/1\.1 400 /);
  open();
  t.match(verdict(await admitAt(url)), { allowed: true });
});

t.test("a port that is taken: an error that names it, and nothing stays open", async (t) => {
  const first = await start(t);
  const port = Number(new URL(first.url).port);
  const free = await start(t);
  const freePort = Number(new URL(free.metricsUrl).port);
  await free.stop();
  await t.rejects(startServer(options({ port, metricsPort: freePort })), { code: "EADDRINUSE", port });
  await t.rejects(startServer(options({ metricsPort: port })), { code: "EADDRINUSE", port });
  await start(t, { metricsPort: freePort });
});

t.test("all of IPv4 where the machine has no IPv6", async (t) => {
  const listen = (code: string) => (host: string) =>
    host === "0.0.0.0" ? Promise.resolve(host) : Promise.reject(Object.assign(new Error(code), { code }));
  t.equal(await listenOn("::", listen("EAFNOSUPPORT")), "0.0.0.0");
  await t.rejects(listenOn("::", listen("EADDRINUSE")), { code: "EADDRINUSE" });
  await t.rejects(listenOn("::1", listen("EAFNOSUPPORT")), { code: "EAFNOSUPPORT" });
  const { url } = await start(t, { host: "::" });
  t.match(url, /^http:\/\/\[::\]:\d+$/);
});
