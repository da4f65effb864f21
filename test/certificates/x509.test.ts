import t from "tap";
import { fits, isAddress, isFor, isIssuedBy, pemBlocks, readCertificate } from "../../src/certificates/x509.ts";
import { makeCa, makeLeaf } from "../../src/certificates/issue.ts";

const ca = await makeCa(86_400_000, Date.now());
const leaf = await makeLeaf(ca, ["w.n.svc", "10.0.0.1", "fd00::1"], 86_400_000, Date.now());
const [issuer, own] = [ca, leaf].map(({ cert }) => readCertificate(cert));
if (issuer === undefined || own === undefined) throw new Error("unreadable");

t.test("names and addresses: all of them and no other, in any order", async (t) => {
  t.ok(isFor(own, ["fd00::1", "W.n.svc", "10.0.0.1"]));
  for (const names of [[], ["w.n.svc"], ["w.n.svc", "10.0.0.1", "fd00::2"], ["w.n.svc", "10.0.0.1", "fd00::1", "x"]])
    t.notOk(isFor(own, names), names.join());
  t.notOk(isFor(issuer, ["w.n.svc"]), "a certificate without names");
  t.strictSame(["10.0.0.1", "::1", "a.svc", "1a.svc"].map(isAddress), [true, true, false, false]);
});

t.test("certificates and keys that belong together", async (t) => {
  t.ok(isIssuedBy(own, issuer));
  t.notOk(isIssuedBy(issuer, own));
  t.ok(fits(own, leaf.key));
  t.notOk(fits(own, ca.key));
  t.notOk(fits(own, "rubbish"));
});

t.test("PEM texts", async (t) => {
  t.strictSame(pemBlocks(`a comment\n${ca.cert.trimEnd()}\nanother\n${leaf.cert}`), [ca.cert, leaf.cert]);
  t.strictSame(pemBlocks("rubbish"), []);
  t.equal(readCertificate("rubbish"), undefined);
  t.equal(readCertificate(""), undefined);
});
