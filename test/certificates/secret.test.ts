import t from "tap";
import { type Certificates, decodeData, encodeData, fromFiles, toFiles } from "../../src/certificates/secret.ts";

const whole: Certificates = {
  leaf: { cert: "leaf", key: "leaf key" },
  ca: { cert: "ca", key: "ca key" },
  next: { cert: "next", key: "next key" },
  former: [{ cert: "former", until: "2030-01-01T00:00:00.000Z" }],
  isRevoking: true,
};

t.test("a written Secret is read back", async (t) => {
  t.strictSame(fromFiles(toFiles(whole)), whole);
  const { next: _next, ...plain } = { ...whole, former: [], isRevoking: false };
  t.strictSame(fromFiles(toFiles(plain)), plain);
  t.strictSame(Object.keys(toFiles(plain)), ["tls.crt", "tls.key", "ca.crt", "ca.key", "rotation.json"]);
  t.strictSame(fromFiles(decodeData(encodeData(toFiles(whole)))), whole, "as a Secret's data");
  t.strictSame(encodeData({ a: "b" }), { a: "Yg==" });
});

t.test("the intact parts of a damaged Secret are read", async (t) => {
  t.equal(fromFiles({}), undefined);
  t.equal(fromFiles({ "other.txt": "x", "tls.crt": "" }), undefined);
  const empty = { cert: "", key: "" };
  const emptyState = { leaf: empty, ca: empty, former: [], isRevoking: false };
  t.strictSame(fromFiles({ "tls.crt": "x" }), { ...emptyState, leaf: { cert: "x", key: "" } });
  t.strictSame(fromFiles({ "next-ca.crt": "x" }), { ...emptyState, next: { cert: "x", key: "" } });
  for (const rotation of ["no JSON", "{}", '{"former":[{"cert":"x","until":"tomorrow"}],"isRevoking":true}'])
    t.strictSame(fromFiles({ "rotation.json": rotation }), emptyState);
});
