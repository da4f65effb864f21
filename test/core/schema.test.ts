import t from "tap";
import * as z from "zod";
import { listed, messageOf, plain } from "../../src/core/message.ts";
import { dnsLabel, issueTexts, listOf, oneOf, port, quote, strict, textMap } from "../../src/core/schema.ts";

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
    'root: unknown key "lst"; did you mean list?; unknown key "toString"',
  ]);
  t.strictSame(problems({ list: [{ port: 1, name: "!" }] }), [
    'root.list[0].name: "!" is not a name: a letter, then letters, digits and -, at most 63, all lower case',
  ]);
});

t.test("the message of a thrown value", async (t) => {
  t.equal(messageOf(new Error("no")), "no");
  t.equal(messageOf("no"), "no", "an Error or not");
});

t.test("of a list or map with many faults the first are named", async (t) => {
  const schema = z.object({ list: listOf(z.object({ name: z.string() })).nullish(), map: textMap.nullish() });
  const problems = (value: unknown) => {
    const parsed = schema.safeParse(value);
    return parsed.success ? parsed.data : issueTexts("", parsed.error);
  };
  const good = { list: [{ name: "a" }], map: { k: "v" } };
  t.strictSame(problems(good), good);
  t.strictSame(problems({ list: null }), { list: null });
  t.match(problems({ list: Array(1000).fill({ name: 1 }) }), [/^list\[0\]\.name: /, /^list\[1\]/, /^list\[2\]/]);
  t.equal((problems({ list: Array(1000).fill({ name: 1 }) }) as unknown[]).length, 3);
  t.strictSame(problems({ map: { a: "x", "b\n": 1, c: 2, d: {}, e: null } }), [
    "map.b\\u000a: not a text",
    "map.c: not a text",
    "map.d: not a text",
  ]);
  for (const map of ["x", [], 1])
    t.strictSame(problems({ map, list: {} }), ["list: not a list", "map: not a map of texts"]);
});

t.test("of many unknown keys the first are named, and how many more there are", async (t) => {
  const { error } = strict({ list: port }).safeParse(
    Object.fromEntries(Array.from({ length: 1000 }, (_, k) => [`k${k}`, 1])),
  );
  const [text = ""] = issueTexts("", error ?? new z.ZodError([])).slice(-1);
  t.match(text, /unknown key "k0"; .*unknown key "k2"; and 997 more$/);
});

t.test("no hint where a value is hidden", async (t) => {
  const { error } = strict({ name: dnsLabel }).safeParse({ name: "Passw0rd.Of.Mine" });
  const text = issueTexts("", error ?? new z.ZodError([])).join();
  t.match(text, /hidden: it may hold a password/);
  t.notMatch(text, /of-mine|did you mean/i);
});

t.test("a user's text in a message: on one line, short, and without characters that steer a terminal", async (t) => {
  t.equal(plain("a\u001b[2J\r\n\u202eb\u2028é…", 100), "a\\u001b[2J\\u000d\\u000a\\u202eb\\u2028é…");
  t.equal(plain("x".repeat(20), 10), `${"x".repeat(9)}…`);
  t.equal(listed(["a", "b\0"]), "a, b\\u0000");
  t.equal(listed(["a", "b", "c", "d"], 2), "a, b and 2 more");
  t.ok(listed(["x".repeat(9999)]).length < 400);
});
