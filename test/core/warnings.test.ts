import t from "tap";
import { fitted } from "../../src/core/warnings.ts";

t.test("a warning is short and plain", (t) => {
  t.strictSame(fitted(["x".repeat(120), "y".repeat(121), "a\u001b[31mb\n"]), [
    "x".repeat(120),
    `${"y".repeat(119)}…`,
    "a\\u001b[31mb\\u000a",
  ]);
  t.end();
});

t.test("all together keep to what an API server takes, and the last says how many more there are", (t) => {
  const shown = fitted(Array.from({ length: 100 }, (_, at) => `${at}`.padEnd(100, "z")));
  t.ok(shown.join("").length <= 4096);
  t.equal(shown.length, 40);
  t.equal(shown.at(-1), "and 61 more: see flowgen.io/gateway-status and the log");
  t.end();
});
