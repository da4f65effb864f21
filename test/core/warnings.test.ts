import t from "tap";
import { fitted, pieces } from "../../src/core/warnings.ts";

t.test("a warning is plain, and a long one comes in several, none of which is cut", async (t) => {
  t.strictSame(fitted(["x".repeat(120), "a\u001b[31mb\n"]), ["x".repeat(120), "a\\u001b[31mb\\u000a"]);
  const long = `target-not-allowed: ${"word ".repeat(60)}end`;
  const shown = fitted([long]);
  t.ok(shown.length > 2 && shown.every(({ length }) => length <= 120));
  t.match(shown[0], /^target-not-allowed: word/);
  t.equal(shown.map((text) => text.replace(/^… /, "")).join(" "), long);
  t.equal(
    pieces("y".repeat(300))
      .map((text) => text.replace(/^… /, ""))
      .join(""),
    "y".repeat(300),
    "a word that is longer than a warning",
  );
});

t.test("the name of a Service is not cut where it fits in a line", async (t) => {
  const at = "flowgen-wireguard-gateway-files-corp-example-com-5af770bb.flowgen-gateway.svc:2121";
  const text = `audit: files.corp.example.com:2121 would be reached at ${at}`;
  t.strictSame(fitted([text]), ["audit: files.corp.example.com:2121 would be reached at", `… ${at}`]);
});

t.test("all warnings together keep to the API server's limit, and the last one counts the rest", async (t) => {
  const shown = fitted(Array.from({ length: 100 }, (_, at) => `${at}`.padEnd(100, "z")));
  t.ok(shown.join("").length <= 4096);
  t.equal(shown.length, 40);
  t.equal(shown.at(-1), "and 61 more: see flowgen.io/gateway-status and the log");
  t.strictSame(fitted(["long ".repeat(2000)]), ["and 1 more: see flowgen.io/gateway-status and the log"]);
});
