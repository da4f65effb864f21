import "reflect-metadata"; // the X.509 library needs it at import
import { createPrivateKey, createPublicKey, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import t from "tap";
import { certificateReasons, isRepair, stepText } from "../../src/certificates/reasons.ts";
import { webhookPath, pathTokenOf, pathTokens } from "../../src/certificates/own-path.ts";
import { type Certificates, type FormerCa, fromFiles, type KeyPair, toFiles } from "../../src/certificates/secret.ts";
import type { CertificatePolicy } from "../../src/certificates/judgement.ts";
import { type CertificateStep, nextStep, type Rest, type Situation, trusts } from "../../src/certificates/step.ts";
import { makeCa, makeLeaf } from "../../src/certificates/issue.ts";

const DAY = 86_400_000;
const START = Date.parse("2030-01-01T00:00:00Z");
const day = (count: number): number => START + count * DAY;
const policy: CertificatePolicy = {
  names: ["w.n.svc", "127.0.0.1"],
  leafMs: 90 * DAY,
  caMs: 365 * DAY,
  settleMs: 120_000,
};

const leafOf = (ca: KeyPair, from = 0, days = 90, names = policy.names): Promise<KeyPair> =>
  makeLeaf(ca, names, days * DAY, day(from));
const [ca, other, late, short, long] = await Promise.all([
  makeCa(365 * DAY, START),
  makeCa(365 * DAY, START),
  makeCa(365 * DAY, day(275)),
  makeCa(30 * DAY, START),
  makeCa(1000 * DAY, START),
]);
const leaf = await leafOf(ca);
const good: Certificates = { leaf, ca, former: [], isRevoking: false };
const rotating: Certificates = { ...good, next: other };
const formerly = (pair: KeyPair, until: number): FormerCa => ({
  cert: pair.cert,
  until: new Date(until).toISOString(),
});
const empty: KeyPair = { cert: "", key: "" };

const at = (stored: Certificates | undefined, more: Partial<Situation> = {}): Situation => ({
  stored,
  held: undefined,
  bundles: [(stored?.ca.cert ?? "") + (stored?.next?.cert ?? "")],
  paths: ["/mutate"],
  trustedForMs: undefined,
  isAsked: false,
  ...more,
});
type Case = readonly [what: string, situation: Situation, onDay: number, kind: string, reason?: string];

const table: readonly Case[] = [
  ["everything in order", at(good), 1, "rest"],
  ["nothing there", at(undefined), 1, "make", "missing"],
  ["nothing there, and this process has what it was", at(undefined, { held: good }), 1, "restore", "missing"],
  ["nothing there, and what this process has is over", at(undefined, { held: good }), 400, "make", "missing"],
  [
    "nothing there, and this process cannot renew what it has",
    at(undefined, { held: { ...good, ca: { ...ca, key: other.key } } }),
    1,
    "make",
    "missing",
  ],
  [
    "nothing there, and what this process has is no pair",
    at(undefined, { held: { ...good, leaf: { ...leaf, key: other.key } } }),
    1,
    "make",
    "missing",
  ],
  [
    "all of it rubbish",
    at({ ...good, leaf: { cert: "x", key: "y" }, ca: { cert: "x", key: "y" } }),
    1,
    "make",
    "unreadable",
  ],
  [
    "all of it rubbish, and this process has what it was",
    at({ ...good, leaf: empty, ca: empty }, { held: good }),
    1,
    "restore",
    "unreadable",
  ],
  [
    "all of it rubbish but the next CA",
    at({ ...good, next: late, leaf: empty, ca: empty }),
    276,
    "promote",
    "unreadable",
  ],
  [
    "all of it rubbish, the next CA too",
    at({ ...good, leaf: empty, ca: empty, next: { ...late, key: "" } }),
    276,
    "make",
    "unreadable",
  ],

  ["certificate unreadable", at({ ...good, leaf: { ...leaf, cert: "rubbish" } }), 1, "issue", "unreadable"],
  ["key missing", at({ ...good, leaf: { ...leaf, key: "" } }), 1, "issue", "key-mismatch"],
  ["key of another", at({ ...good, leaf: { ...leaf, key: other.key } }), 1, "issue", "key-mismatch"],
  ["certificate of another CA", at({ ...good, leaf: await leafOf(other) }), 1, "issue", "not-issued"],
  [
    "another name",
    at({ ...good, leaf: await leafOf(ca, 0, 90, ["w.n.svc", "127.0.0.2"]) }),
    1,
    "issue",
    "names-differ",
  ],
  ["a name more", at({ ...good, leaf: await leafOf(ca, 0, 90, [...policy.names, "x"]) }), 1, "issue", "names-differ"],
  [
    "a wildcard is no name",
    at({ ...good, leaf: await leafOf(ca, 0, 90, ["*.n.svc", "127.0.0.1"]) }),
    1,
    "issue",
    "names-differ",
  ],
  ["two thirds of its time", at(good), 59, "rest"],
  ["a third of its time left", at(good), 61, "issue", "near-expiry"],
  ["over", at(good), 91, "issue", "expired"],
  ["not yet begun", at(good), -1, "issue", "not-yet-valid"],
  ["CA not yet begun", at({ ...good, leaf: await leafOf(ca, -2) }), -1, "introduce", "not-yet-valid"],
  ["not yet begun, under a CA that has", at({ ...good, leaf: await leafOf(ca, 3) }), 1, "issue", "not-yet-valid"],
  ["made for longer than we want now", at({ ...good, leaf: await leafOf(ca, 0, 200) }), 1, "issue", "too-long"],
  [
    "ends with its CA: a new one would not end later",
    at({ ...good, ca: short, leaf: await leafOf(short), next: other }, { trustedForMs: 0 }),
    29,
    "rest",
  ],

  [
    "CA could not sign for a whole lifetime",
    at({ ...good, leaf: await leafOf(ca, 270) }),
    276,
    "introduce",
    "near-expiry",
  ],
  ["CA over, a certificate in order", at({ ...good, ca: empty }), 1, "introduce", "unreadable"],
  ["CA is none", at({ ...good, ca: leaf }), 1, "make", "not-issued"],
  ["next CA is none", at({ ...good, next: leaf }), 1, "introduce", "not-a-ca"],
  ["CA's key missing", at({ ...good, ca: { ...ca, key: "" } }), 1, "introduce", "key-mismatch"],
  [
    "CA made for longer than we want now",
    at({ ...good, ca: long, leaf: await leafOf(long) }),
    1,
    "introduce",
    "too-long",
  ],
  ["CA and certificate over", at(good), 366, "make", "expired"],
  ["somebody asks for another", at(good, { isAsked: true }), 1, "introduce", "asked"],
  ["somebody asks while there is a next one", at({ ...good, next: other }, { isAsked: true }), 1, "introduce", "asked"],
  ["the next CA is spoilt", at({ ...good, next: { ...other, key: "" } }), 1, "introduce", "key-mismatch"],

  ["a path without a token, where none is asked for", at(good, { paths: ["/mutate"] }), 1, "rest"],
  ["caBundle empty", at(good, { bundles: [""] }), 1, "trust", "bundle-differs"],
  ["caBundle of one webhook empty", at(good, { bundles: [ca.cert, ""] }), 1, "trust", "bundle-differs"],
  ["caBundle rubbish", at(good, { bundles: [`${ca.cert}rubbish`] }), 1, "rest"],
  [
    "caBundle with an unreadable one",
    at(good, { bundles: [ca.cert + ca.cert.replace("MI", "AA")] }),
    1,
    "trust",
    "bundle-differs",
  ],
  ["caBundle with one more", at(good, { bundles: [other.cert + ca.cert] }), 1, "trust", "bundle-differs"],
  ["no webhook configuration", at(good, { bundles: undefined }), 1, "rest"],

  ["next CA not in caBundle", at({ ...good, next: other }, { bundles: [ca.cert] }), 1, "trust", "bundle-differs"],
  ["next CA in caBundle just now", at({ ...good, next: other }, { trustedForMs: 0 }), 1, "rest"],
  ["next CA in caBundle long enough", at({ ...good, next: other }, { trustedForMs: 120_000 }), 1, "promote", "trusted"],
  ["next CA, and nowhere to put it", at({ ...good, next: other }, { bundles: undefined }), 1, "rest"],
  [
    "the certificate is renewed by the present CA meanwhile",
    at({ ...good, next: other }, { trustedForMs: 0 }),
    61,
    "issue",
    "near-expiry",
  ],
  [
    "a former CA over, still in caBundle",
    at({ ...good, former: [formerly(other, day(1))] }, { bundles: [ca.cert + other.cert] }),
    2,
    "trust",
    "bundle-differs",
  ],
  ["a former CA over", at({ ...good, former: [formerly(other, day(1))] }), 2, "forget", "former-ended"],
  [
    "a former CA that is still trusted",
    at({ ...good, former: [formerly(other, day(9))] }, { bundles: [ca.cert + other.cert] }),
    2,
    "rest",
  ],
];

t.test("the next step, and its reason", async (t) => {
  for (const [what, situation, onDay, kind, reason] of table) {
    const step = nextStep(situation, policy, day(onDay));
    t.match(step, { kind, ...(reason !== undefined && { reason }) }, `${what}: ${kind} ${reason ?? ""}`);
  }
});

const write = (step: CertificateStep | Rest) => {
  if (step.kind === "rest" || step.kind === "trust") throw new Error(step.kind);
  return step;
};
const untils = (former: readonly FormerCa[]): readonly string[] => former.map(({ until }) => until);

t.test("kept parts and new parts", async (t) => {
  const begun = write(nextStep(at(undefined, { bundles: [other.cert, other.cert + short.cert] }), policy, day(100)));
  t.match(begun, { makes: ["ca", "leaf"], from: { former: [{ cert: other.cert }], isRevoking: false } });
  t.strictSame(untils(begun.from.former), ["2030-04-12T00:00:00.000Z"], "another CA in caBundle stays for a day");

  const restored = write(nextStep(at(undefined, { held: good }), policy, day(1)));
  t.strictSame(restored, { kind: "restore", reason: "missing", from: { ...good, isRevoking: true }, makes: ["next"] });

  const issued = write(nextStep(at(rotating, { trustedForMs: 0 }), policy, day(91)));
  t.strictSame(issued.from, rotating);
  t.strictSame(issued.makes, ["leaf"]);

  const asked = write(nextStep(at(good, { isAsked: true }), policy, day(1)));
  t.strictSame(asked.from, { ...good, isRevoking: true });
  t.strictSame(asked.makes, ["next"]);

  const blind = write(nextStep(at({ ...good, ca: empty }, { bundles: [ca.cert] }), policy, day(1)));
  t.match(blind.from.former, [{ cert: ca.cert }], "a CA that only caBundle knows stays");
  const again = write(
    nextStep(at({ ...good, ca: empty, former: blind.from.former }, { bundles: [ca.cert + "x"] }), policy, day(1)),
  );
  t.equal(again.from.former.length, 1, "once");
});

t.test("a promoted CA: the former one is trusted to its own end, or a short time when it was given up", async (t) => {
  const promoted = write(nextStep(at(rotating, { trustedForMs: 120_000 }), policy, day(20)));
  t.match(promoted, {
    makes: ["leaf"],
    from: { ca: other, next: undefined, former: [{ cert: ca.cert }], isRevoking: false },
  });
  t.strictSame(untils(promoted.from.former), ["2031-01-01T00:00:00.000Z"]);
  const revoked = write(nextStep(at({ ...rotating, isRevoking: true }, { trustedForMs: 120_000 }), policy, day(20)));
  t.strictSame(untils(revoked.from.former), ["2030-01-21T00:02:00.000Z"]);
  const unreadable = { ...rotating, ca: empty };
  t.strictSame(write(nextStep(at(unreadable, { trustedForMs: 120_000 }), policy, day(20))).from.former, []);
});

t.test("the bundle: the present CA first, no former one that is over, nothing unreadable", async (t) => {
  const former = [
    formerly(short, day(5)),
    formerly(long, day(1)),
    { cert: ca.cert.replace("MI", "AA"), until: "2099-01-01T00:00:00Z" },
  ];
  const step = nextStep(at({ ...good, next: other, former }, { bundles: [""] }), policy, day(2));
  t.match(step, { kind: "trust", bundle: ca.cert + other.cert + short.cert });
});

t.test("the time until the next step", async (t) => {
  const waiting = (more: Partial<Certificates>, trustedForMs?: number, now = day(1)) => {
    const stored = { ...good, ...more };
    const bundles = [
      [ca, ...(stored.next ? [stored.next] : [])].map(({ cert }) => cert).join("") +
        stored.former.map(({ cert }) => cert).join(""),
    ];
    return nextStep(at(stored, { bundles, trustedForMs }), policy, now);
  };
  t.strictSame(waiting({}), { kind: "rest", isUnderWay: false });
  t.strictSame(waiting({ next: other }, 20_000), { kind: "rest", isUnderWay: true, forMs: 100_000 });
  t.strictSame(waiting({ former: [formerly(other, day(300)), formerly(short, day(2))] }), {
    kind: "rest",
    isUnderWay: false,
  });
  const soon = [formerly(other, day(300)), formerly(short, day(1) + 60_000)];
  t.strictSame(waiting({ former: soon }), { kind: "rest", isUnderWay: true, forMs: 60_000 });
  t.strictSame(nextStep(at({ ...good, next: other }, { bundles: undefined }), policy, day(1)), {
    kind: "rest",
    isUnderWay: true,
  });
});

t.test("a bundle trusts a CA", async (t) => {
  t.ok(trusts(other.cert + ca.cert, ca.cert));
  t.notOk(trusts(other.cert, ca.cert));
  t.notOk(trusts(other.cert, "rubbish"));
});

t.test("a certificate that would outlive its CA", async (t) => {
  const overlong = await makeLeaf({ cert: long.cert, key: long.key }, policy.names, 90 * DAY, START);
  // Signed by one key, under a shorter certificate of the same CA: as when a user replaced it by hand.
  const shorter = { ...good, ca: await reissued(long), leaf: overlong };
  t.match(nextStep(at(shorter), policy, day(1)), { kind: "issue", reason: "outlives-ca" });
});

/** The same CA, name and key, with 10 days. */
async function reissued(pair: KeyPair): Promise<KeyPair> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const old = new x509.X509Certificate(pair.cert);
  const privateKey = createPrivateKey(pair.key).toCryptoKey(algorithm, true, ["sign"]);
  const publicKey = createPublicKey(pair.key).toCryptoKey(algorithm, true, ["verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      notBefore: new Date(START),
      notAfter: new Date(day(10)),
      signingAlgorithm: algorithm,
      name: old.subject,
      keys: { privateKey, publicKey },
      extensions: old.extensions,
    },
    webcrypto,
  );
  return { cert: `${certificate.toString("pem")}\n`, key: pair.key };
}

t.test("every step has its sentence; a step that is due by time is no repair", async (t) => {
  for (const reason of Object.keys(certificateReasons) as (keyof typeof certificateReasons)[]) {
    t.match(stepText({ kind: "issue", reason }), /^a certificate is made: \w/);
  }
  t.notOk(isRepair({ kind: "make", reason: "missing" }));
  t.notOk(isRepair({ kind: "issue", reason: "near-expiry" }));
  t.ok(isRepair({ kind: "restore", reason: "missing" }));
  t.ok(isRepair({ kind: "issue", reason: "key-mismatch" }));
});

t.test("a path that is to hold the token of the CA", async (t) => {
  const wanted = { ...policy, hasPathToken: true };
  const step = (situation: Situation) => nextStep(situation, wanted, day(1));
  const path = webhookPath(ca);
  const token = pathTokenOf(ca);
  t.match(path, /^\/mutate\/[0-9a-f]{64}$/);
  t.not(path, webhookPath(other));
  t.match(step(at(good)), { kind: "trust", reason: "path-differs", bundle: ca.cert, token });
  t.match(step(at(good, { paths: [path, "/mutate"] })), { kind: "trust", token });
  t.match(step(at(good, { paths: [path, `/warn/${token}`] })), { kind: "rest" }, "each webhook has a path of its own");
  t.match(step(at(good, { paths: [path] })), { kind: "rest" });
  t.match(step(at(good, { paths: [] })), { kind: "rest" }, "called by a URL, which is the installer's");
  t.match(step(at(good, { bundles: [""] })), { kind: "trust", reason: "bundle-differs", token }, "both in one write");
  const promoted = step(at(rotating, { paths: [path], trustedForMs: policy.settleMs }));
  const until = new Date(day(1) + 2 * policy.settleMs).toISOString();
  t.match(promoted, { kind: "promote", from: { ca: other, formerPath: { token: pathTokenOf(ca), until } } });
  t.strictSame(fromFiles(toFiles({ ...good, formerPath: { token: "t", until } }))?.formerPath, { token: "t", until });
  const tokens = (on: number) => pathTokens({ ...rotating, formerPath: { token: "t", until } }, on);
  t.strictSame(tokens(day(1)), [pathTokenOf(ca), pathTokenOf(other), "t"]);
  t.strictSame(tokens(day(2)), [pathTokenOf(ca), pathTokenOf(other)]);
});
