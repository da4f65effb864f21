import t from "tap";
import type { Pod } from "../../src/core/pod.ts";
import { formerAddresses, markPod, readStatus, statusOf } from "../../src/core/status.ts";
import type { Assignment } from "../../src/core/target.ts";
import { patched, podOf } from "../making.ts";

const gateway = { name: "gw", namespace: "ns" };
const assign = (name: string, host: string, port: number, servicePort: number, at = "gw.ns.svc"): Assignment => ({
  target: { name, host, port, hostEnv: [], portEnv: [] },
  forward: name,
  host: at,
  port: servicePort,
});
const podWith = (metadata: Pod["metadata"], env: Readonly<Record<string, string>> = {}): Pod => ({
  ...podOf(undefined, env),
  metadata,
});

const targetsIn = (pod: Pod) => {
  const status = readStatus(pod);
  if (status.kind === "fail") throw new Error(status.detail);
  return status.targets;
};

t.test("formers are read from a status that can be read, of targets that have other addresses now", (t) => {
  const m = assign("m", "10.0.0.5", 1433, 1433);
  const formers = (status: unknown) =>
    formerAddresses(
      targetsIn(
        podWith({
          annotations: { "flowgen.io/gateway-status": typeof status === "string" ? status : JSON.stringify(status) },
        }),
      ),
      [m],
    ).map(({ host, port, assignment }) => `${host}:${port} ${assignment.target.name}`);
  const status = (targets: unknown) => ({ gateway: "ns/gw", targets, env: [], version: "1" });
  t.strictSame(formers(status({ "10.0.0.5:1433": "old.other.svc:1500" })), ["old.other.svc:1500 m"]);
  t.strictSame(formers(status({ "10.0.0.5:1433": "gw.ns.svc:1433" })), [], "the present one");
  t.strictSame(formers(status({ "10.0.0.6:1433": "old.other.svc:1500" })), [], "another target");
  t.strictSame(formers('{"gateway":"x","targets":{"__proto__":"old.svc:1"},"env":[],"version":"1"}'), []);
  for (const address of ["old", "old:0", "old:", ":1", "o ld:1", "old:1\n", "[fd00::1]:1", ""])
    t.strictSame(formers(status({ "10.0.0.5:1433": address })), [], JSON.stringify(address));
  for (const none of ["", "{", "null", "[]", { targets: {} }, status({ "10.0.0.5:1433": 1500 })])
    t.strictSame(formers(none), []);
  t.strictSame(formerAddresses(targetsIn(podWith({})), [m]), []);
  t.end();
});

t.test("format 2 of a status is read, one that is newer is left to a newer version", (t) => {
  const m = assign("m", "10.0.0.5", 1433, 1433);
  const withStatus = (status: unknown): Pod =>
    podWith({ annotations: { "flowgen.io/gateway-status": JSON.stringify(status) } });
  const targets = { m: { target: "10.0.0.5:1433", address: "old.svc:1500", tunnel: "wg0", more: 1 } };
  const second = { format: 2, gateway: "ns/gw", targets, env: [], unread: [], version: "2", more: {} };
  t.match(formerAddresses(targetsIn(withStatus(second)), [m]), [{ host: "old.svc", port: 1500 }]);
  t.strictSame(readStatus(withStatus({ ...second, format: 3 })), {
    kind: "fail",
    reason: "format-newer",
    detail: "flowgen.io/gateway-status has format 3, this version reads up to 2",
  });
  t.end();
});

t.test("marks: labels and a status, with no more operations than it takes", (t) => {
  const assignments = [assign("m", "10.0.0.5", 1433, 1433)];
  const status = statusOf(gateway, assignments, ["flowgen/M_HOST"], "1");
  t.strictSame(status, {
    gateway: "ns/gw",
    targets: { "10.0.0.5:1433": "gw.ns.svc:1433" },
    env: ["flowgen/M_HOST"],
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
