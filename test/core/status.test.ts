import t from "tap";
import type { Pod } from "../../src/core/pod.ts";
import { markPod } from "../../src/core/marks.ts";
import { goneAddress, readStatus, statusOf } from "../../src/core/status.ts";
import type { Assignment } from "../../src/core/target.ts";
import { assignmentOf, patched, podOf, targetOf } from "../making.ts";

const gateway = { name: "gw", namespace: "ns" };
const m = assignmentOf(targetOf("m", "10.0.0.5", 1433));
const podWith = (metadata: Pod["metadata"], env: Readonly<Record<string, string>> = {}): Pod => ({
  ...podOf(undefined, env),
  metadata,
});

const targetsIn = (pod: Pod) => {
  const status = readStatus(pod);
  if (status.kind === "fail") throw new Error(status.detail);
  return status.targets;
};

const withStatus = (status: unknown, env: Readonly<Record<string, string>> = {}): Pod =>
  podWith(
    { annotations: { "flowgen.io/gateway-status": typeof status === "string" ? status : JSON.stringify(status) } },
    env,
  );

t.test("a pod that comes back keeps its addresses while the table has them, else it is refused", (t) => {
  const gone = (address: string, env: Readonly<Record<string, string>>, at: Partial<Assignment> = {}) => {
    const pod = withStatus({ gateway: "ns/gw", targets: { "10.0.0.5:1433": address }, env: [], version: "1" }, env);
    return goneAddress(pod, targetsIn(pod), [{ ...m, ...at }]);
  };
  t.equal(gone("gw.ns.svc:1433", { M_HOST: "gw.ns.svc" }), undefined, "the present address");
  const moved = { host: "gw-m-0.ns.svc", addresses: ["gw-m-0.ns.svc:1433", "gw.ns.svc:1434"] };
  t.equal(gone("gw.ns.svc:1434", { M_URL: "mssql://gw.ns.svc:1434" }, moved), undefined, "a former address");
  t.match(gone("gw.ns.svc:1500", { M_URL: "mssql://gw.ns.svc:1500" }, moved), {
    reason: "address-gone",
    message: /^m: "gw.ns.svc:1500": .*apply the original manifest/,
  });
  t.match(gone("gw.other.svc:1433", { M_HOST: "gw.other.svc" }), { reason: "address-gone" });
  t.equal(gone("gw.other.svc:1433", { M_HOST: "10.0.0.5" }), undefined, "no env holds it any more");
  t.equal(goneAddress(podWith({}), [], [m]), undefined);
  t.end();
});

t.test("a pod that comes back with a former cluster IP in its hostAliases is refused", (t) => {
  const name = "db.corp.example.com";
  const led = assignmentOf(targetOf("n", name, 5432), { names: [name], clusterIPs: ["10.96.0.8", "fd00::8"] });
  const gone = (ips: readonly string[], entry: { ip: string; hostnames: string[] }) => {
    const targets = { n: { target: `${name}:5432`, address: led.addresses[0] ?? "", ips } };
    const pod = withStatus({ format: 2, gateway: "ns/gw", targets, env: [], version: "1" });
    return goneAddress({ ...pod, spec: { ...pod.spec, hostAliases: [entry] } }, targetsIn(pod), [led]);
  };
  const former = ["10.96.0.7", "fd00::8"];
  t.match(gone(former, { ip: "10.96.0.7", hostnames: ["x", name] }), {
    reason: "address-gone",
    message: /^n: 10\.96\.0\.7 in spec\.hostAliases: /,
  });
  t.equal(gone(former, { ip: "fd00::8", hostnames: [name] }), undefined, "the present address");
  t.equal(gone(former, { ip: "10.96.0.7", hostnames: ["x"] }), undefined, "another name");
  t.equal(gone([], { ip: "10.96.0.7", hostnames: [name] }), undefined, "an entry of the pod's own");
  t.end();
});

t.test(
  "a status is read in both formats; one that cannot be read says nothing, a newer one is left to a newer version",
  (t) => {
    const first = { gateway: "ns/gw", targets: { "10.0.0.5:1433": "old.svc:1500" }, env: [], version: "1" };
    t.strictSame(targetsIn(withStatus(first)), [{ target: "10.0.0.5:1433", address: "old.svc:1500" }]);
    const targets = { m: { target: "10.0.0.5:1433", address: "old.svc:1500", tunnel: "wg0", more: 1 } };
    const second = { format: 2, gateway: "ns/gw", targets, env: [], version: "2", more: {} };
    t.match(targetsIn(withStatus(second)), [{ target: "10.0.0.5:1433", address: "old.svc:1500" }]);
    for (const none of ["", "{", "null", "[]", { targets: {} }, { ...first, targets: { "10.0.0.5:1433": 1500 } }])
      t.strictSame(targetsIn(withStatus(none)), []);
    t.strictSame(targetsIn(podWith({})), []);
    t.strictSame(readStatus(withStatus({ ...second, format: 3 })), {
      kind: "fail",
      reason: "format-newer",
      detail: "flowgen.io/gateway-status has format 3, this version reads up to 2",
    });
    t.end();
  },
);

t.test("a status that is longer than the API server stores is not read", (t) => {
  const first = { gateway: "ns/gw", targets: { "10.0.0.5:1433": "old.svc:1500" }, env: [], version: "1" };
  const filled = (length: number) => targetsIn(withStatus({ ...first, env: ["x".repeat(length)] }));
  t.equal(filled(250_000).length, 1);
  t.strictSame(filled(262_144), []);
  t.end();
});

t.test("marks: labels and a status, with no more operations than it takes", (t) => {
  const led = assignmentOf(targetOf("n", "db.corp.example.com", 5432), {
    tunnel: "wg1",
    redirect: "hostAlias",
    names: ["db.corp.example.com"],
    host: "gw-n-0.ns.svc",
    clusterIPs: ["10.96.0.7"],
  });
  t.strictSame(statusOf(gateway, [led], { env: [], unread: [] }, "1").targets, {
    n: {
      target: "db.corp.example.com:5432",
      tunnel: "wg1",
      address: "gw-n-0.ns.svc:5432",
      redirect: "hostAlias",
      names: ["db.corp.example.com"],
      ips: ["10.96.0.7"],
    },
  });
  const assignments = [m];
  const status = statusOf(gateway, assignments, { env: ["flowgen/M_HOST"], unread: ["flowgen: args[0]"] }, "1");
  t.strictSame(status, {
    format: 2,
    gateway: "ns/gw",
    targets: { m: { target: "10.0.0.5:1433", tunnel: "wg0", address: "gw.ns.svc:1433", redirect: "env" } },
    env: ["flowgen/M_HOST"],
    unread: ["flowgen: args[0]"],
    version: "1",
  });
  const mark = (pod: Pod) => markPod(pod, "gw", assignments, status);
  const metadata = {
    labels: { "target.flowgen.io/m": "true", "flowgen.io/gateway": "gw" },
    annotations: { "flowgen.io/gateway-status": JSON.stringify(status) },
  };
  const bare = podWith({ labels: null });
  t.strictSame(patched(bare, mark(bare)).metadata, metadata, "a pod without labels and annotations gets both maps");
  t.strictSame(mark(podWith(metadata)), [], "nothing to do");
  const forged = podWith({
    labels: {
      app: "x",
      "target.flowgen.io/m": "no",
      "target.flowgen.io/a~b/payroll": "true",
      "flowgen.io/gateway": "other",
    },
    annotations: { a: "b", "flowgen.io/gateway-status": "{}" },
  });
  t.strictSame(patched(forged, mark(forged)).metadata, {
    labels: { app: "x", ...metadata.labels },
    annotations: { a: "b", ...metadata.annotations },
  });
  t.end();
});
