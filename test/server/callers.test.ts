/** Reviews are taken from the API server's client certificate only, where its CA is given. */
import { Agent } from "node:https";
import { pino } from "pino";
import t, { type Test } from "tap";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import { readTls } from "../../src/certificates/tls.ts";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import type { CallerRule } from "../../src/server/callers.ts";
import { startServer, type ServerOptions } from "../../src/server/run.ts";
import { authority } from "../cluster-port/authority.ts";
import { configOf, scripts } from "../making.ts";
import { type ClientAnswer, admitAt, send } from "./client.ts";

const config = configOf(`
gateways:
  - namespace: flowgen-gateway
    tunnels: [{name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8"]}]
`);
const serving = await makeServingCertificate(["localhost", "127.0.0.1"], 1, new Date());
const tls = readTls(serving.cert, serving.key);
const apiServers = await authority();
const strangers = await authority("strangers");

const start = async (t: Test, callers?: CallerRule, more: Partial<ServerOptions> = {}) => {
  const lines: string[] = [];
  const server = await startServer({
    cluster: createMemoryCluster(),
    config,
    scripts,
    version: "1.2.3",
    log: pino({ base: null }, { write: (line: string) => void lines.push(line) }),
    host: "127.0.0.1",
    port: 0,
    metricsPort: 0,
    drainSeconds: 0,
    tls,
    ...(callers && { callers }),
    ...more,
  });
  t.teardown(server.stop);
  const ask = (client: object = {}): Promise<ClientAnswer> =>
    admitAt(server.url, { agent: new Agent({ ca: serving.ca, ...client }) });
  const counts = async (): Promise<Record<string, number>> => {
    const text = (await send(server.metricsUrl)).body;
    const samples = text.matchAll(/^flowgen_gateway_callers_total\{caller="(.*)"\} (\d+)$/gm);
    return Object.fromEntries(Array.from(samples, ([, caller = "", count]) => [caller, Number(count)] as const));
  };
  return { ...server, ask, counts, lines };
};

t.test("with a CA: the API server's certificate only; the reason stands in the answer", async (t) => {
  const { url, ask, counts, lines } = await start(t, { ca: apiServers.ca, names: ["webhooks", "kube-apiserver"] });
  const known = await apiServers.issue("kube-apiserver");
  t.match(await ask(known), { status: 200, body: /"patch"/ });
  const refusals: [client: object, reason: RegExp][] = [
    [{}, /client certificate only, and this caller presents none: name a certificate for the webhook/],
    [await strangers.issue("kube-apiserver"), /presents that of kube-apiserver \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)/],
    [await apiServers.issue("kubelet"), /presents that of kubelet \(it is none of webhooks, kube-apiserver\)/],
  ];
  for (const [client, reason] of refusals)
    t.match(await ask(client), { status: 403, headers: { connection: "close" }, body: reason });
  t.match(await ask(known), { status: 200 });
  t.match(await send(`${url}/readyz`, { ca: serving.ca }), { status: 200 }, "kubelets have no certificate");
  t.strictSame(await counts(), {
    "no-certificate": 1,
    "unchecked-certificate": 0,
    "wrong-certificate": 2,
    "api-server": 2,
  });
  const said = lines.map((line) => JSON.parse(line) as { msg: string; name?: string; level: number });
  t.match(
    said.filter(({ msg }) => /certificate/.test(msg)),
    [
      { level: 30, msg: /presents the API server's client certificate/, name: "kube-apiserver" },
      { level: 30, msg: /presents no client certificate/ },
      { level: 40, msg: /that is not the API server's/, name: "kube-apiserver" },
    ],
    "once each",
  );
});

t.test(
  "without a CA: reviews of every caller, and log and metric say which certificates callers present",
  async (t) => {
    const { ask, counts, lines } = await start(t);
    for (const client of [{}, {}, await strangers.issue("x")]) t.match(await ask(client), { status: 200 });
    t.match(await counts(), { "no-certificate": 2, "unchecked-certificate": 1, "wrong-certificate": 0 });
    t.equal(lines.filter((line) => line.includes("presents no client certificate")).length, 1);
    t.equal(lines.filter((line) => line.includes("--client-ca is not set")).length, 1);
  },
);

t.test("another CA is used from the next connection on, with any serving certificate", async (t) => {
  const { ask, setClientCa, setTls } = await start(t, { ca: apiServers.ca });
  const [before, after] = [await apiServers.issue("a"), await strangers.issue("b")];
  t.strictSame([(await ask(before)).status, (await ask(after)).status], [200, 403]);
  setClientCa(apiServers.ca + strangers.ca);
  t.strictSame([(await ask(before)).status, (await ask(after)).status], [200, 200]);
  setClientCa(strangers.ca);
  setTls(tls);
  t.strictSame([(await ask(before)).status, (await ask(after)).status], [403, 200]);
});

t.test("with a path token both are asked for, and the path first", async (t) => {
  const token = "0123456789abcdef".repeat(2);
  const { url, ask } = await start(t, { ca: apiServers.ca }, { pathToken: token });
  t.match(await ask(await apiServers.issue("a")), { status: 404 });
  const body = "{}";
  t.match(await send(`${url}/mutate/${token}`, { ca: serving.ca, body }), { status: 403 });
});
