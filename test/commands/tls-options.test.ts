import { join } from "node:path";
import t, { type Test } from "tap";
import { namespaceOf, type ServeTlsOptions, tlsSource } from "../../src/commands/serve/tls-options.ts";
import { setEnv } from "../environment.ts";

const DAY = 86_400_000;
const options: ServeTlsOptions = {
  tlsLifetime: 90 * DAY,
  tlsCaLifetime: 365 * DAY,
  tlsSettleSeconds: 120,
  webhookConfiguration: "w",
  plainHttp: false,
};
const withEnv = (t: Test, env: Readonly<Record<string, string>>): void => {
  const { POD_NAMESPACE: _, ...rest } = process.env;
  setEnv(t, { ...rest, ...env });
};

t.test("one source of the certificate", async (t) => {
  t.strictSame(await tlsSource({ ...options, plainHttp: true }), { kind: "plain" });
  t.strictSame(await tlsSource({ ...options, tlsCert: "c", tlsKey: "k" }), { kind: "files", paths: ["c", "k"] });
  const policy = { names: ["flowgen-gateway-webhook.n.svc"], leafMs: 90 * DAY, caMs: 365 * DAY, settleMs: 120_000 };
  const secret = { kind: "secret", namespace: "n", name: "s" };
  t.strictSame(await tlsSource({ ...options, tlsSecret: "s", namespace: "n" }), { ...secret, policy });
  const named = await tlsSource({ ...options, tlsSecret: "s", namespace: "n", tlsNames: ["a", "b"] });
  t.strictSame(named, { ...secret, policy: { ...policy, names: ["a", "b"] } });
  const withPath = await tlsSource({ ...options, tlsSecret: "s", namespace: "n", ownPathToken: true });
  t.strictSame(withPath, { ...secret, policy: { ...policy, hasPathToken: true } });
  await t.rejects(tlsSource({ ...options, plainHttp: true, ownPathToken: true }), { message: /give --tls-secret too/ });
  await t.rejects(tlsSource({ ...options, tlsCert: "c" }), { message: /^--tls-key is missing/ });
  await t.rejects(tlsSource({ ...options, tlsKey: "k" }), { message: /^--tls-cert is missing/ });
});

t.test("the namespace: given, or this pod's", async (t) => {
  const file = join(t.testdir({ namespace: "from-file\n" }), "namespace");
  withEnv(t, {});
  t.equal(await namespaceOf({ namespace: "given" }, file), "given");
  t.equal(await namespaceOf({}, file), "from-file");
  await t.rejects(namespaceOf({}, `${file}-none`), { message: /^--namespace is missing: this is no pod/ });
  withEnv(t, { POD_NAMESPACE: "from-env" });
  t.equal(await namespaceOf({}, file), "from-env");
});
