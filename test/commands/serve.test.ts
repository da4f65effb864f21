import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { UsageError } from "../../src/commands/options/options.ts";
import { serve, type ServeOptions } from "../../src/commands/serve/serve.ts";
import { makeServingCertificate } from "../../src/certificates/issue.ts";
import { contractWebhooks } from "../cluster-port/contract.ts";
import { writeKubeconfig, listen, overMemory } from "../cluster-port/loopback.ts";
import { MAIN, plainEnv, type Program, root, startProgram } from "../program.ts";
import { admitAt, mount, send, silent, traffic } from "../server/client.ts";
import { setEnv } from "../environment.ts";

const example = join(root, "examples/webhook-config.yaml");
const config = readFileSync(example, "utf8");
const [first, second] = await Promise.all(
  [1, 2].map((days) => makeServingCertificate(["localhost", "127.0.0.1"], days, new Date())),
);
if (first === undefined || second === undefined) throw new Error("no certificate");
const trusted = first.ca + second.ca;

/** `serve` with these flags, ended with the test. */
const start = (t: Test, flags: readonly string[], env: Readonly<Record<string, string>> = {}): Program => {
  const program = startProgram([MAIN, "serve", ...flags], { env: { ...plainEnv(), ...env } });
  t.teardown(async () => {
    program.child.kill("SIGKILL");
    await program.exit;
  });
  return program;
};

const loopback = ["--cluster", "memory", "--host", "127.0.0.1"];
const anyPort = ["--port", "0", "--metrics-port", "0"];

// They wait more than they work.
t.test("serve", { jobs: 4 }, (t) => {
  t.test("files reloaded and SIGTERM, under continuous requests: none fails", async (t) => {
    const volumes = t.testdir({ tls: {}, config: {} });
    const [tlsFolder, configFolder] = [join(volumes, "tls"), join(volumes, "config")];
    mount(tlsFolder, { "tls.crt": first.cert, "tls.key": first.key });
    mount(configFolder, { "config.yaml": config });
    const files = [
      ...["--config", join(configFolder, "config.yaml")],
      ...["--tls-cert", join(tlsFolder, "tls.crt"), "--tls-key", join(tlsFolder, "tls.key")],
    ];
    const server = start(t, [...loopback, ...anyPort, ...files, "--reload-seconds", "1", "--drain-seconds", "1"]);
    const { url, metrics } = await server.serving();
    const requests = traffic(url, trusted);
    await requests.answered(5);

    const expiry = async () => /expiry_timestamp_seconds (\d+)/.exec((await send(metrics)).body)?.[1];
    const [firstExpiry, secondExpiry] = [first, second].map(({ cert }) =>
      String(new X509Certificate(cert).validToDate.getTime() / 1000),
    );
    mount(tlsFolder, { "tls.crt": second.cert, "tls.key": first.key });
    mount(configFolder, { "config.yaml": "gateway: []" });
    const [tlsRefusal, configRefusal] = await Promise.all(
      ["tls", "config"].map((file) => server.logged({ msg: "reload refused, the old version stays", file })),
    );
    t.match(tlsRefusal?.["detail"], /tls\.crt.*tls\.key: the private key is not that of the certificate/);
    t.match(configRefusal?.["detail"], /config\.yaml is not a valid config:\n.*gateway.*did you mean gateways\?/s);
    const { body } = await send(metrics);
    for (const file of ["tls", "config"]) t.match(body, `flowgen_gateway_reload_failures_total{file="${file}"} 1`);
    t.equal(await expiry(), firstExpiry);
    t.match(await admitAt(url, { ca: first.ca }), { body: /"patch"/ }, "the old ones stay");

    mount(tlsFolder, { "tls.crt": second.cert, "tls.key": second.key });
    mount(configFolder, { "config.yaml": config.replace("mode: enforce", "mode: audit") });
    await Promise.all(["tls", "config"].map((file) => server.logged({ msg: "reloaded", file })));
    t.match(await admitAt(url, { ca: second.ca }), { body: /"outcome":"audit"/ }, "the new ones are used");
    t.equal(await expiry(), secondExpiry);

    await requests.answered(5);
    await silent(url);
    server.child.kill("SIGTERM");
    await server.logged({ msg: "draining", signal: "SIGTERM" });
    t.match(await send(`${url}/readyz`, { ca: trusted }), { status: 503 });
    await requests.answered(5);
    t.match(await server.exit, { code: 0, stderr: "" });
    await requests.ended;
    t.strictSame(requests.failures, []);
    t.strictSame(new Set(requests.answers.map(({ status }) => status)), new Set([200]));
    t.match(requests.answers.at(-1), { headers: { connection: "close" } });
  });

  t.test("a certificate of its own, kept in a Secret", async (t) => {
    const { memory, answer } = overMemory();
    await memory.create(contractWebhooks("w", [{ name: "pods.flowgen.io" }]), AbortSignal.timeout(10_000));
    const api = await listen(answer);
    t.teardown(api.close);
    const KUBECONFIG = writeKubeconfig(t, { server: api.url, "insecure-skip-tls-verify": true });
    const flags = ["--config", example, "--cluster", "kubeconfig", "--host", "127.0.0.1", ...anyPort];
    const own = ["--tls-secret", "tls", "--namespace", "n", "--tls-names", "localhost", "--webhook-configuration", "w"];
    const server = start(t, [...flags, ...own, "--drain-seconds", "0"], { KUBECONFIG });
    const { url, metrics } = await server.serving();
    await server.logged({ msg: "certificate taken" });
    const ca = (): string => {
      const hooks = memory.all().find(({ kind }) => kind === "MutatingWebhookConfiguration");
      const [hook] = hooks?.["webhooks"] as { clientConfig?: { caBundle?: string } }[];
      return Buffer.from(hook?.clientConfig?.caBundle ?? "", "base64").toString();
    };
    while (ca() === "") await sleep(5);
    const ready = () => send(`${url.replace("127.0.0.1", "localhost")}/readyz`, { ca: ca() });
    while ((await ready()).status !== 200) await sleep(5);
    t.match((await send(metrics)).body, /api_calls_total\{verb="apply",kind="Secret",code="200"\} 1/);
    server.child.kill("SIGTERM");
    t.match(await server.exit, { code: 0, stderr: "" });
  });

  t.test("SIGINT; settings from the environment", async (t) => {
    const env = {
      FLOWGEN_GATEWAY_CONFIG: example,
      FLOWGEN_GATEWAY_CLUSTER: "memory",
      FLOWGEN_GATEWAY_HOST: "127.0.0.1",
      FLOWGEN_GATEWAY_METRICS_PORT: "0",
      FLOWGEN_GATEWAY_PLAIN_HTTP: "true",
      FLOWGEN_GATEWAY_DRAIN_SECONDS: "0",
      FLOWGEN_GATEWAY_LOG_LEVEL: "info",
    };
    const servers = [
      start(t, [], { ...env, PORT: "0" }),
      start(t, [], { ...env, PORT: "1", FLOWGEN_GATEWAY_PORT: "0" }),
    ];
    await Promise.all(
      servers.map(async (server) => {
        const { url } = await server.serving();
        t.match(url, /^http:\/\/127\.0\.0\.1:\d{4,5}$/);
        t.match(await admitAt(url), { status: 200, body: /"patch"/ });
        const { uid, ms, outcome } = await server.logged({ msg: "admission" });
        t.match({ uid, ms, outcome }, { uid: String, ms: Number, outcome: "inject" });
        server.child.kill("SIGINT");
        t.match(await server.exit, { code: 0, stderr: "" });
      }),
    );
  });

  t.test("a mistake: what, why and what to do", async (t) => {
    const files = t.testdir({
      "tls.crt": first.cert,
      "tls.key": first.key,
      "other.key": second.key,
      "bad.yaml": "gateways: 1",
    });
    const file = (name: string) => join(files, name);
    const { KUBERNETES_SERVICE_HOST: _host, ...env } = process.env;
    setEnv(t, { ...env, KUBECONFIG: file("none") });
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    t.teardown(() => taken.close());
    const { port } = taken.address() as AddressInfo;
    const plain: ServeOptions = {
      config: example,
      cluster: "memory",
      host: "127.0.0.1",
      port: 0,
      metricsPort: 0,
      plainHttp: true,
      webhookConfiguration: "flowgen-gateway-webhook",
      tlsLifetime: 86_400_000,
      tlsCaLifetime: 10 * 86_400_000,
      tlsSettleSeconds: 1,
      drainSeconds: 0,
      repairSeconds: 30,
      reloadSeconds: 10,
      logLevel: "error",
    };
    const [tlsCert, tlsKey] = [file("tls.crt"), file("tls.key")];
    const tls = { ...plain, plainHttp: false, tlsCert, tlsKey };
    const { tlsKey: _key, ...withoutKey } = tls;
    const noNamespace = { ...plain, plainHttp: false, tlsSecret: "s" };
    const secret = { ...noNamespace, namespace: "n" };
    const cases: [options: ServeOptions, message: RegExp][] = [
      [{ ...plain, plainHttp: false }, /^no certificate: give one of --tls-cert .*--tls-secret, or --plain-http/],
      [withoutKey, /^--tls-key is missing/],
      [{ ...plain, tlsCert }, /^--plain-http and --tls-cert or --tls-key do not go together: give one of/],
      [{ ...tls, tlsSecret: "s" }, /^--tls-secret and --tls-cert or --tls-key do not go together: give one of/],
      [{ ...secret, cluster: "memory" }, /^--tls-secret is kept in a cluster: give another --cluster/],
      [{ ...secret, tlsCaLifetime: 86_400_000 }, /^--tls-ca-lifetime is less than twice --tls-lifetime/],
      [noNamespace, /^--namespace is missing: this is no pod/],
      [
        { ...tls, tlsCert: file("none") },
        /^--tls-cert: cannot read .*none: ENOENT: no such file or directory; name a file that exists and/,
      ],
      [{ ...tls, tlsKey: files }, /^--tls-key: cannot read .*: EISDIR.*; name a file/],
      [
        { ...tls, tlsKey: file("other.key") },
        /other\.key: the private key is not that of the certificate.*; give a PEM/,
      ],
      [{ ...tls, clientName: ["a"] }, /^--client-name says whose certificate of a CA is taken: give --client-ca too/],
      [{ ...plain, clientCa: tlsCert }, /^--client-ca needs TLS, and --plain-http leaves it to a platform/],
      [{ ...tls, clientCa: file("none") }, /^--client-ca: cannot read .*none: ENOENT/],
      [{ ...tls, clientCa: file("bad.yaml") }, /^--client-ca: .*bad\.yaml: it holds no PEM certificate; give the CA/],
      [{ ...tls, clientCa: tlsCert }, /^--client-ca: .*tls\.crt: the certificate of CN=.* is no CA's, .*; give the CA/],
      [{ ...plain, config: file("none") }, /^--config: cannot read .*none: ENOENT/],
      [{ ...plain, config: file("bad.yaml") }, /bad\.yaml is not a valid config:\n.*gateways/],
      [
        { ...plain, port },
        new RegExp(`^cannot listen on --host 127.0.0.1, --port ${port}: .*EADDRINUSE.*; choose another`),
      ],
      [{ ...plain, metricsPort: port }, new RegExp(`--metrics-port ${port}: .*EADDRINUSE`)],
      [{ ...plain, port, metricsPort: port }, /both \d+: choose another/],
      [{ ...plain, host: "192.0.2.1" }, /--host 192\.0\.2\.1, --port 0: .*EADDRNOTAVAIL/],
      [{ ...plain, port: NaN }, /--port NaN/],
      [{ ...plain, cluster: "kubeconfig" }, /^--cluster kubeconfig: ENOENT.*; let KUBECONFIG name/],
      [{ ...plain, cluster: "in-cluster" }, /^--cluster in-cluster: not in a cluster.*; run it in a pod/],
    ];
    for (const [options, message] of cases) {
      const error: unknown = await serve(options).catch((thrown: unknown) => thrown);
      t.ok(error instanceof UsageError, message.source);
      t.match((error as Error).message, message);
    }
  });
  t.end();
});
