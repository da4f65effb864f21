import t from "tap";
import { aliasHosts } from "../../src/core/host-aliases.ts";
import type { Pod } from "../../src/core/pod.ts";
import type { Assignment } from "../../src/core/target.ts";
import { assignmentOf, patched, podOf, targetOf } from "../making.ts";

const NAME = "db.corp.example.com";
const led = (more: Partial<Assignment> = {}): Assignment =>
  assignmentOf(targetOf("db", NAME, 1433), {
    redirect: "hostAlias",
    names: [NAME],
    clusterIPs: ["10.96.0.7"],
    ...more,
  });
const withSpec = (spec: Partial<Pod["spec"]>): Pod => ({
  ...podOf(undefined),
  spec: { ...podOf(undefined).spec, ...spec },
});
const aliasesAfter = (pod: Pod, ...assignments: readonly Assignment[]) => {
  const aliasing = aliasHosts(pod, assignments);
  if (aliasing.kind === "reject") throw new Error(aliasing.message);
  const after = patched(pod, aliasing.operations);
  t.match(aliasHosts(after, assignments), { operations: { length: 0 } }, "a second run changes nothing");
  return after.spec.hostAliases;
};

t.test("one entry for each address, dual stack too; entries of the pod's own stay", async (t) => {
  t.strictSame(aliasesAfter(withSpec({}), led()), [{ ip: "10.96.0.7", hostnames: [NAME] }]);
  t.strictSame(aliasesAfter(withSpec({ hostAliases: null }), led({ clusterIPs: ["10.96.0.7", "fd00::7"] })), [
    { ip: "10.96.0.7", hostnames: [NAME] },
    { ip: "fd00::7", hostnames: [NAME] },
  ]);
  const own = [{ ip: "10.1.1.1", hostnames: ["printer"] }, { ip: "10.96.0.7" }];
  t.strictSame(aliasesAfter(withSpec({ hostAliases: own }), led()), [own[0], { ip: "10.96.0.7", hostnames: [NAME] }]);
  const shared = [{ ip: "10.96.0.7", hostnames: ["other"] }];
  t.strictSame(aliasesAfter(withSpec({ hostAliases: shared }), led({ names: [NAME, "sql.corp.example.com"] })), [
    { ip: "10.96.0.7", hostnames: ["other", NAME, "sql.corp.example.com"] },
  ]);
});

t.test("two targets of one host have one entry; targets by env have none", async (t) => {
  const both = [led(), led({ target: targetOf("pg", NAME, 5432) })];
  t.strictSame(aliasesAfter(withSpec({}), ...both), [{ ip: "10.96.0.7", hostnames: [NAME] }]);
  t.strictSame(aliasHosts(withSpec({}), [assignmentOf(targetOf("a", "10.0.0.5", 1))]), {
    kind: "aliases",
    operations: [],
    warnings: [],
  });
});

t.test("a name that the pod maps elsewhere, and a container with a hosts file of its own, are refused", async (t) => {
  const elsewhere = withSpec({ hostAliases: [{ ip: "10.1.1.1", hostnames: ["DB.corp.example.com"] }] });
  t.match(aliasHosts(elsewhere, [led()]), {
    reason: "alias-conflict",
    message: /^spec\.hostAliases maps db\.corp\.example\.com to 10\.1\.1\.1 already: /,
  });
  const mounted = { name: "init", volumeMounts: [{ mountPath: "/etc/hosts/" }] };
  t.match(aliasHosts(withSpec({ initContainers: [mounted] }), [led()]), {
    reason: "hosts-file-mounted",
    message: /^container init: /,
  });
  t.match(aliasHosts(withSpec({ initContainers: [{ name: "x", volumeMounts: [{ mountPath: "/etc" }] }] }), [led()]), {
    kind: "aliases",
  });
});
