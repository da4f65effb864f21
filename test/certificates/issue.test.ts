import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import t from "tap";
import { makeLeaf, makeServingCertificate } from "../../src/certificates/issue.ts";
import { readTls } from "../../src/certificates/tls.ts";

const now = new Date("2030-01-01T00:00:00Z");
const made = await makeServingCertificate(["webhook.flowgen.svc", "localhost", "127.0.0.1", "::1"], 30, now);
const other = await makeServingCertificate(["localhost"], 1, now);
const [ca, leaf] = [new X509Certificate(made.ca), new X509Certificate(made.cert)];

t.test("a serving certificate, signed by a CA of its own", async (t) => {
  t.ok(leaf.verify(ca.publicKey));
  t.ok(leaf.checkIssued(ca));
  t.notOk(leaf.verify(new X509Certificate(other.ca).publicKey));
  t.same([ca.ca, leaf.ca], [true, false]);
  t.ok(leaf.checkPrivateKey(createPrivateKey(made.key)));
  t.strictSame(leaf.keyUsage, ["1.3.6.1.5.5.7.3.1"], "for servers only");
});

t.test("names and addresses", async (t) => {
  for (const name of ["webhook.flowgen.svc", "localhost"]) t.equal(leaf.checkHost(name), name);
  t.equal(leaf.checkHost("webhook.other.svc"), undefined);
  for (const ip of ["127.0.0.1", "::1"]) t.ok(leaf.checkIP(ip), ip);
  t.notOk(leaf.checkIP("127.0.0.2"));
});

t.test("valid from an hour ago, for the days that were asked for", async (t) => {
  for (const { validFromDate, validToDate } of [ca, leaf]) {
    t.equal(validFromDate.toISOString(), "2029-12-31T23:00:00.000Z");
    t.equal(validToDate.toISOString(), "2030-01-31T00:00:00.000Z");
  }
});

t.test("a CA of one's own signs too: EC or RSA, and no other", async (t) => {
  const key = (pair: { readonly privateKey: KeyObject }) =>
    pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  for (const own of [
    generateKeyPairSync("ec", { namedCurve: "secp384r1" }),
    generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ]) {
    const signed = await makeLeaf({ cert: made.ca, key: key(own) }, ["localhost"], 3_600_000, now.getTime());
    t.ok(new X509Certificate(signed.cert).verify(own.publicKey));
  }
  const odd = { cert: made.ca, key: key(generateKeyPairSync("ed25519")) };
  await t.rejects(makeLeaf(odd, ["localhost"], 3_600_000, now.getTime()), {
    message: /the CA's key is ed25519: use an EC/,
  });
});

t.test("a pair is read, or refused with the reason", async (t) => {
  t.strictSame(readTls(made.cert, made.key), {
    cert: made.cert,
    key: made.key,
    expiry: Date.parse("2030-01-31T00:00:00Z") / 1000,
  });
  t.match(readTls(made.cert + made.ca, made.key), { cert: made.cert + made.ca }, "a chain");
  const encrypted = createPrivateKey(made.key).export({
    format: "pem",
    type: "pkcs8",
    cipher: "aes-256-cbc",
    passphrase: "x",
  }) as string;
  const brokenChain = `${made.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
  const bad: [cert: string, key: string, why: RegExp][] = [
    ["", made.key, /the certificate is not PEM/],
    [made.key, made.key, /the certificate is not PEM/],
    [made.cert, "", /the private key is not PEM/],
    [made.cert, encrypted, /encrypted/],
    [made.cert, other.key, /not that of the certificate/],
    [made.ca + made.cert, made.key, /the first one, where the file holds a chain/],
    [brokenChain, made.key, /after the first/],
  ];
  for (const [cert, key, why] of bad) t.throws(() => readTls(cert, key), { message: why });
});
