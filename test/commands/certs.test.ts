import { X509Certificate } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { certs, type CertsOptions } from "../../src/commands/certs/certs.ts";
import { UsageError } from "../../src/commands/options/options.ts";
import { readTls } from "../../src/certificates/tls.ts";
import { pemBlocks } from "../../src/certificates/x509.ts";
import { contractWebhooks } from "../cluster-port/contract.ts";
import { writeKubeconfig, listen, overMemory } from "../cluster-port/loopback.ts";
import { setEnv } from "../environment.ts";

const DAY = 86_400_000;
const defaults: CertsOptions = {
  cluster: "kubeconfig",
  namespace: "n",
  tlsLifetime: 90 * DAY,
  tlsCaLifetime: 365 * DAY,
  tlsSettleSeconds: 0.1,
  rotate: false,
  trusted: false,
  dryRun: false,
};
const run = async (options: Partial<CertsOptions>) => {
  let [out, err] = ["", ""];
  const code = await certs({ ...defaults, ...options }, { out: (text) => (out += text), err: (text) => (err += text) });
  return { code, out, err };
};
const { signal } = new AbortController();

/** A cluster behind an API server of the test's own, by KUBECONFIG. */
const withCluster = async (t: Test) => {
  const { memory, answer } = overMemory();
  const server = await listen(answer);
  t.teardown(server.close);
  const path = writeKubeconfig(t, { server: server.url, "insecure-skip-tls-verify": true });
  setEnv(t, { ...process.env, KUBECONFIG: path });
  await memory.create(contractWebhooks("flowgen-gateway-webhook", [{ name: "a.b.c" }]), signal);
  const objects = () => memory.all().filter(({ kind }) => kind !== "Event");
  const bundle = (): readonly string[] => {
    const hooks = memory.all().find(({ kind }) => kind === "MutatingWebhookConfiguration");
    const [hook] = hooks?.["webhooks"] as { clientConfig: { caBundle?: string } }[];
    return pemBlocks(Buffer.from(hook?.clientConfig.caBundle ?? "", "base64").toString());
  };
  return { memory, objects, bundle };
};

t.test("to files: made once, with safe modes, and fit to serve", async (t) => {
  const out = join(t.testdir({}), "new");
  const read = (name: string): string => readFileSync(join(out, name), "utf8");
  const first = await run({ out, tlsNames: ["localhost", "127.0.0.1"] });
  t.match(first, { code: 0, err: "", out: /^a CA and a certificate signed by it are made: there is nothing yet/ });
  t.match(first.out, `put ${out}/ca-bundle.crt, base64, into the webhook's caBundle\n`);
  const leaf = new X509Certificate(readTls(read("tls.crt"), read("tls.key")).cert);
  t.ok(leaf.checkIssued(new X509Certificate(read("ca-bundle.crt"))));
  t.equal(leaf.subjectAltName, "DNS:localhost, IP Address:127.0.0.1");
  const modes = readdirSync(out).map((name) => [name, (statSync(join(out, name)).mode & 0o777).toString(8)]);
  t.strictSame(Object.fromEntries(modes), {
    "ca-bundle.crt": "644",
    "ca.crt": "644",
    "ca.key": "600",
    "rotation.json": "600",
    "tls.crt": "644",
    "tls.key": "600",
  });
  const before = read("tls.crt");
  t.match(await run({ out, tlsNames: ["localhost", "127.0.0.1"] }), { code: 0, out: /certificate until \d{4}-/ });
  t.equal(read("tls.crt"), before);
  t.match(await run({ out, tlsNames: ["localhost"] }), {
    code: 0,
    out: /^a certificate is made: its names are not/,
  });
});

t.test("to files: a CA is rotated in an order without failures", async (t) => {
  const out = t.testdir({});
  const read = (name: string): string => readFileSync(join(out, name), "utf8");
  await run({ out });
  const [oldCa, oldLeaf] = [read("ca.crt"), read("tls.crt")];
  const dry = await run({ out, rotate: true, dryRun: true });
  t.match(dry, {
    code: 0,
    out: /^would do: the next CA is made; .*it was asked for[^]*would do: the CAs are put into caBundle[^]*would do: the next CA replaces/,
  });
  t.equal(read("ca-bundle.crt"), oldCa, "a dry run changes nothing");

  const first = await run({ out, rotate: true });
  t.match(first, { code: 0, out: /when it is there, run this again with --trusted, and the next CA signs\n$/ });
  t.strictSame(pemBlocks(read("ca-bundle.crt")), [oldCa, read("next-ca.crt")]);
  t.equal(read("tls.crt"), oldLeaf);
  t.match(await run({ out }), { out: /run this again with --trusted/ }, "however long it takes");
  t.equal(read("tls.crt"), oldLeaf);

  const second = await run({ out, trusted: true, tlsSettleSeconds: 3600 });
  t.match(second, { code: 0, out: /serve the new certificate; then run this again, for the former CA to leave/ });
  t.ok(new X509Certificate(read("tls.crt")).checkIssued(new X509Certificate(read("ca.crt"))));
  t.not(read("ca.crt"), oldCa);
  t.equal(pemBlocks(read("ca-bundle.crt")).length, 2);
  t.notOk(readdirSync(out).some((name) => name.startsWith("next-ca") || name.endsWith(".new")));
  const hourLater = read("rotation.json").replace(/"until": "[^"]+"/, '"until": "2020-01-01T00:00:00.000Z"');
  writeFileSync(join(out, "rotation.json"), hourLater);
  await run({ out });
  t.equal(read("ca-bundle.crt"), read("ca.crt"));
  t.match(await run({ out, dryRun: true }), { code: 0, out: "would do nothing: all is in order\n" });
});

t.test("to the cluster: made, and rotated with the wait between", async (t) => {
  const { objects, bundle, memory } = await withCluster(t);
  const empty = memory.all();
  t.match(await run({ tlsSecret: "tls", dryRun: true }), { code: 0, out: /would do: a CA and a certificate/ });
  t.strictSame(memory.all(), empty, "a dry run writes nothing, Events included");
  t.match(await run({ tlsSecret: "tls" }), { code: 0, err: "", out: /Secret n\/tls: certificate until/ });
  const [old] = bundle();
  t.match(objects(), [{}, { kind: "Secret", metadata: { namespace: "n", name: "tls" } }]);
  const before = objects();
  t.match(await run({ tlsSecret: "tls", rotate: true, dryRun: true }), {
    code: 0,
    out: /would do: the next CA replaces/,
  });
  t.strictSame(objects(), before);
  const rotated = await run({ tlsSecret: "tls", rotate: true, tlsSettleSeconds: 0.5 });
  t.match(rotated, {
    code: 0,
    out: /waiting 1 s \(safe to stop[^]*the next CA replaces[^]*former CAs are removed/,
  });
  t.equal(bundle().length, 1);
  t.not(bundle()[0], old);
});

t.test("to files, with caBundle in the cluster", async (t) => {
  const { bundle } = await withCluster(t);
  const out = join(t.testdirName, "out");
  const options = { out, webhookConfiguration: "flowgen-gateway-webhook" };
  t.match(await run({ ...options, dryRun: true }), { code: 0, out: /would do: the CAs are put into caBundle/ });
  t.strictSame([bundle(), existsSync(out)], [[], false]);
  t.match(await run(options), { code: 0, err: "" });
  t.strictSame(bundle(), [readFileSync(join(out, "ca.crt"), "utf8")]);
  t.notOk(readdirSync(out).includes("ca-bundle.crt"));
  t.match(await run({ ...options, rotate: true }), { code: 0, out: /the next CA replaces/ });
  t.strictSame(bundle(), [readFileSync(join(out, "ca.crt"), "utf8")]);
});

t.test("a failure: exit code 1 and the reason", async (t) => {
  const { memory } = await withCluster(t);
  const missing = await run({ tlsSecret: "tls", webhookConfiguration: "none" });
  t.match(missing, { code: 1, err: /^none: there is no MutatingWebhookConfiguration of that name/ });
  const metadata = { namespace: "n", name: "theirs" };
  await memory.create({ apiVersion: "v1", kind: "Secret", metadata, data: { "tls.key": "eA==" } }, signal);
  t.match(await run({ tlsSecret: "theirs" }), {
    code: 1,
    err: /^Secret n\/theirs: it holds data that .* did not write/,
  });
  const out = t.testdirName;
  writeFileSync(join(out, "tls.crt"), "theirs");
  t.match(await run({ out }), { code: 1, err: /did not write: choose another Secret or folder/ });
  t.equal(readFileSync(join(out, "tls.crt"), "utf8"), "theirs");
  const nobody = writeKubeconfig(t, { server: "http://127.0.0.1:1", "insecure-skip-tls-verify": true });
  setEnv(t, { ...process.env, KUBECONFIG: nobody });
  t.match(await run({ tlsSecret: "tls", dryRun: true }), { code: 1, err: /^cannot get .*ECONNREFUSED/ });
});

t.test("mistakes", async (t) => {
  const file = join(t.testdir({}), "file");
  writeFileSync(file, "");
  const cases: [options: Partial<CertsOptions>, message: RegExp][] = [
    [{}, /^give one of --tls-secret .* or --out/],
    [{ tlsSecret: "a", out: "b" }, /^give one of/],
    [{ tlsSecret: "a", trusted: true }, /^--trusted goes with --out alone/],
    [{ out: "a", webhookConfiguration: "w", trusted: true }, /^--trusted goes with --out alone/],
    [{ out: "a", trusted: true, rotate: true }, /two runs/],
    [{ out: "a", tlsCaLifetime: 90 * DAY }, /^--tls-ca-lifetime is less than twice/],
    [{ out: file }, /^--out .*file: (ENOTDIR|EEXIST).*; name a folder of yours/],
  ];
  for (const [options, message] of cases) {
    const error: unknown = await run(options).catch((thrown: unknown) => thrown);
    t.ok(error instanceof UsageError, message.source);
    t.match((error as Error).message, message);
  }
});
