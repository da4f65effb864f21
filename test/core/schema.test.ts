import t from "tap";
import { z } from "zod";
import { messageOf } from "../../src/core/message.ts";
import { dnsLabel, issueTexts, oneOf, port, quote, strict } from "../../src/core/schema.ts";

t.test("a value as it may be shown", async (t) => {
  t.equal(quote("10.5"), '"10.5"');
  t.equal(quote(99999), "99999");
  t.equal(quote(undefined), "null");
  t.equal(quote("a\n\0б"), '"a\\n\\u0000\\u0431"');
  t.equal(quote("x".repeat(100)), `"${"x".repeat(55)}…"`);
  for (const secret of ["postgres://u:p@h", "Password=x", "PWD=x"])
    t.equal(quote(secret), "(hidden: it may hold a password)");
});

t.test("issues are named by their path, and not without end", async (t) => {
  const schema = strict({
    list: z.array(strict({ port, mode: oneOf("a", "b").default("a"), name: dnsLabel.optional() })),
  });
  const problems = (value: unknown, most?: number) => {
    const parsed = schema.safeParse(value);
    return parsed.success ? [] : issueTexts("root", parsed.error, most);
  };
  t.strictSame(problems({ list: [{ port: 1 }, { port: "65535", mode: "b", name: "x" }] }), []);
  t.strictSame(problems({ list: [{}, { port: "0" }, { port: 1, mode: "c" }] }), [
    "root.list[0].port: is missing: a port (1-65535)",
    'root.list[1].port: "0" is not a port (1-65535)',
    'root.list[2].mode: "c" is none of a, b',
  ]);
  t.strictSame(problems({ list: [{}, {}, {}, {}] }, 2).at(-1), "and 2 more");
  t.strictSame(problems({ list: [], lst: 1, toString: 2 }), [
    'root: unknown key "lst"; did you mean list?; unknown key "toString"; did you mean list?',
  ]);
  t.strictSame(problems({ list: [{ port: 1, name: "!" }] }), [
    'root.list[0].name: "!" is not a name: a letter, then letters, digits and -, at most 63, all lower case',
  ]);
});

t.test("what was thrown, in its own words", async (t) => {
  t.equal(messageOf(new Error("no")), "no");
  t.equal(messageOf("no"), "no", "an Error or not");
});
