import t from "tap";
import { auditAnnotations, failed, redirected, refused, skipped } from "../../src/core/admission.ts";
import { assignmentOf, targetOf } from "../making.ts";
import { reject } from "../../src/core/reasons.ts";

const assignment = assignmentOf(targetOf("mssql", "10.0.0.5", 1433), { host: "gw-a.ns.svc" });
const account = {
  gateway: "ns/gw",
  assignments: [assignment],
  operations: [{ op: "add", path: "/x", value: 1 }],
  changed: [{ container: "flowgen", env: "DB_HOST", change: "set" }],
  unread: [],
  warnings: [],
} as const;

t.test("a redirected pod: patched, or in audit mode only described", (t) => {
  t.strictSame(redirected(account, "enforce"), { ...account, outcome: "inject", reason: "injected" });
  t.strictSame(redirected({ ...account, warnings: ["w"] }, "audit"), {
    ...account,
    outcome: "audit",
    reason: "would-inject",
    operations: [],
    warnings: [
      "audit: 10.0.0.5:1433 would be reached at gw-a.ns.svc:1433",
      "audit: env that would change: DB_HOST",
      "w",
    ],
  });
  t.strictSame(
    redirected({ ...account, changed: [] }, "audit").warnings,
    ["audit: 10.0.0.5:1433 would be reached at gw-a.ns.svc:1433"],
    "labels alone would change",
  );
  t.match(redirected({ ...account, operations: [], changed: [] }, "audit"), { outcome: "skip", reason: "unchanged" });
  t.end();
});

t.test("a refusal keeps its whole message; in audit mode it is a warning", (t) => {
  const rejection = reject("target-forbidden", `private-targets[0]: ${"long ".repeat(40)}`);
  t.match(refused(rejection, "enforce"), { outcome: "reject", message: rejection.message, warnings: { length: 0 } });
  t.notOk("gateway" in refused(rejection, "enforce"));
  const audited = refused(rejection, "audit", { gateway: "ns/gw" });
  t.match(audited, { outcome: "audit", reason: "target-forbidden", message: rejection.message, gateway: "ns/gw" });
  const [warning = ""] = audited.warnings;
  t.equal(warning, `audit: ${rejection.reason}: would be rejected: ${rejection.message}`);
  t.match(warning, /^audit: [a-z-]+: would be rejected: private-targets\[0\]: long /);
  t.end();
});

t.test("skipped and failed", (t) => {
  t.match(skipped("not-annotated"), { outcome: "skip", operations: { length: 0 }, warnings: { length: 0 } });
  t.match(skipped("not-flowgen", ["w"]), { outcome: "skip", warnings: ["w"] });
  t.match(failed("deadline", "get ConfigMap", "ns/gw"), { outcome: "fail", message: /get ConfigMap$/ });
  t.end();
});

t.test("audit annotations name the gateway, the targets and the env; none for a pod that is skipped", (t) => {
  t.equal(auditAnnotations(skipped("not-annotated")), undefined);
  t.strictSame(auditAnnotations(redirected(account, "enforce")), {
    outcome: "inject",
    reason: "injected",
    gateway: "ns/gw",
    targets: "10.0.0.5:1433=gw-a.ns.svc:1433",
    env: "flowgen/DB_HOST",
  });
  t.strictSame(auditAnnotations(refused(reject("reserved", "x"), "enforce")), {
    outcome: "reject",
    reason: "reserved",
  });
  t.end();
});

t.test("a pod's names in a message never steer a terminal, and the list of them is bounded", (t) => {
  const env = Array.from({ length: 80 }, (_, index) => ({
    container: "a\u001b[2J",
    env: `E${index}`,
    change: "set" as const,
  }));
  const admission = redirected({ ...account, changed: env, warnings: ["E\r\n: x"] }, "audit");
  t.strictSame(admission.warnings.slice(-1), ["E\\u000d\\u000a: x"]);
  t.match(admission.warnings[1], /^audit: env that would change: E0, .*, E9 and 70 more$/);
  t.match(auditAnnotations(admission)?.["env"], /^a\\u001b\[2J\/E0,.* and 30 more$/);
  const rejection = { kind: "reject", reason: "reserved", message: `\u001b${"x".repeat(5000)}` } as const;
  for (const { message = "" } of [refused(rejection, "enforce"), failed("api-error", rejection.message, "g/gw")]) {
    t.match(message, "\\u001b");
    t.ok(message.length < 2010);
  }
  t.end();
});
