import t from "tap";
import { createCensus, type PodMetadata } from "../../src/core/census.ts";
import type { Forward, HostService, Table } from "../../src/core/forwards/table.ts";
import { configOf, gatewayOf } from "../making.ts";

const config = configOf(
  "gateways: [{name: gw, namespace: vpn, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]}]",
);
const gateway = gatewayOf(config);
const forward: Forward = {
  ...{ name: "sql", tunnel: "wg0", targetHost: "10.0.0.5", targetPort: 1433, listenPort: 1433, servicePort: 1433 },
};
const service: HostService = { name: "gw-10-0-0-5", tunnel: "wg0", host: "10.0.0.5", clusterIPs: [] };
const table: Table = { forwards: [forward], services: [service] };
const flowgen = { "app.kubernetes.io/name": "flowgen" };
const statusAt = (address: string): string =>
  JSON.stringify({ format: 2, targets: { sql: { target: "10.0.0.5:1433", address } } });

const pod = (
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
): PodMetadata => ({
  ...{ name: "p", namespace: "team-a", labels, annotations },
});
const censusOf = (...pods: readonly PodMetadata[]) => {
  const census = createCensus(config);
  pods.forEach(census.add);
  return census;
};
const label = { "flowgen.io/gateway": "gw", "target.flowgen.io/sql": "true" };

t.test("a forward is used by the pods whose labels or status name it", async (t) => {
  const USES: readonly [string, PodMetadata, boolean][] = [
    ["its label", pod(label), true],
    ["another gateway's label", pod({ ...label, "flowgen.io/gateway": "other" }), false],
    ["another forward's label", pod({ "flowgen.io/gateway": "gw", "target.flowgen.io/api": "true" }), false],
    ["its address at the gateway", pod({}, { "flowgen.io/gateway-status": statusAt("gw.vpn.svc:1433") }), true],
    [
      "its address at the host's Service",
      pod({}, { "flowgen.io/gateway-status": statusAt("gw-10-0-0-5.vpn.svc:1433") }),
      true,
    ],
    ["another port there", pod({}, { "flowgen.io/gateway-status": statusAt("gw.vpn.svc:1434") }), false],
    [
      "the gateway of another namespace",
      pod({}, { "flowgen.io/gateway-status": statusAt("gw.other.svc:1433") }),
      false,
    ],
    [
      "a status of format 1",
      pod(
        {},
        {
          "flowgen.io/gateway-status": JSON.stringify({
            gateway: "vpn/gw",
            targets: { "10.0.0.5:1433": "gw.vpn.svc:1433" },
            env: [],
            version: "0",
          }),
        },
      ),
      true,
    ],
    ["its label, and no gateway's", pod({ "target.flowgen.io/sql": "true" }), false],
    ["nothing of ours", pod(flowgen), false],
  ];
  for (const [what, each, isUsed] of USES) t.equal(censusOf(each).uses(gateway, table, forward), isUsed, what);
});

t.test("a forward is found where it is offered, and nowhere else", async (t) => {
  const { servicePort: _, ...hostOnly } = forward;
  const at = (address: string) => censusOf(pod({}, { "flowgen.io/gateway-status": statusAt(address) }));
  t.notOk(at("gw.vpn.svc:1433").uses(gateway, table, hostOnly));
  t.ok(at("gw-10-0-0-5.vpn.svc:1433").uses(gateway, table, hostOnly));
  t.notOk(at("gw-10-0-0-5.vpn.svc:1433").uses(gateway, { ...table, services: [] }, forward));
});

t.test("a gateway of each namespace is used by the pods of its own", async (t) => {
  const own = { ...gateway, isPerNamespace: true };
  t.ok(censusOf(pod(label)).uses({ ...own, namespace: "team-a" }, table, forward));
  t.notOk(censusOf(pod(label)).uses({ ...own, namespace: "team-b" }, table, forward));
});

t.test("a Service is named by the statuses that have an address of it, at any port", async (t) => {
  const at = (address: string) =>
    censusOf(pod({}, { "flowgen.io/gateway-status": statusAt(address) })).names(gateway, service);
  t.ok(at("gw-10-0-0-5.vpn.svc:9"));
  t.notOk(at("gw-10-0-0-5-2.vpn.svc:9"));
  t.notOk(at("gw.vpn.svc:1433"));
});

t.test("a pod is stranded whose hostAliases hold an address that its host's Service has not", async (t) => {
  const ledTo = (name: string, address: string, ...ips: readonly string[]): PodMetadata => {
    const targets = { sql: { target: "10.0.0.5:1433", address, ips } };
    return { ...pod({}, { "flowgen.io/gateway-status": JSON.stringify({ format: 2, targets }) }), name };
  };
  const AT = "gw-10-0-0-5.vpn.svc:1433";
  const census = censusOf(
    ledTo("lost", AT, "10.96.0.7"),
    ledTo("present", AT, "10.96.0.8"),
    ledTo("half", AT, "10.96.0.8", "fd00::7"),
    ledTo("elsewhere", "gw-10-0-0-6.vpn.svc:1433", "10.96.0.7"),
    pod({}, { "flowgen.io/gateway-status": statusAt(AT) }),
  );
  const stranded = (clusterIPs: string[], of = gateway) =>
    census.stranded(of, { ...service, clusterIPs }).map(({ name }) => name);
  t.strictSame(stranded(["10.96.0.8", "fd00::8"]), ["lost", "half"]);
  t.strictSame(stranded([]), [], "the Service has none yet");
  t.strictSame(stranded(["10.96.0.8"], { ...gateway, namespace: "other" }), []);
});

t.test("pods that run unredirected are those that a new admission would redirect or refuse", async (t) => {
  const asks = { "flowgen.io/private-targets": "sql=10.0.0.5:1433" };
  const CASES: readonly [string, PodMetadata, number][] = [
    ["it asks and has no status", pod(flowgen, asks), 1],
    ["it asks for what is not allowed", pod(flowgen, { "flowgen.io/private-targets": "sql=192.168.0.1:1" }), 1],
    ["it has a status", pod(flowgen, { ...asks, "flowgen.io/gateway-status": statusAt("gw.vpn.svc:1433") }), 0],
    ["it asks for nothing", pod(flowgen), 0],
    ["it is in audit mode", pod(flowgen, { ...asks, "flowgen.io/mode": "audit" }), 0],
    ["it is disabled", pod(flowgen, { ...asks, "flowgen.io/mode": "disabled" }), 0],
    ["it is a mirror pod", pod(flowgen, { ...asks, "kubernetes.io/config.mirror": "x" }), 0],
    ["it is a gateway", pod({ ...flowgen, "app.kubernetes.io/component": "wireguard-gateway" }, asks), 0],
    ["it is not flowgen's", pod({}, asks), 0],
  ];
  for (const [what, each, count] of CASES) t.equal(censusOf(each, each).unredirected().length, count, what);
});

t.test("a status of a newer version is not read, and its pod is reported", async (t) => {
  const newer = pod(flowgen, { "flowgen.io/gateway-status": JSON.stringify({ format: 3 }) });
  t.match(censusOf(newer).unread(), [{ name: "p" }]);
  t.strictSame(censusOf({ namespace: "team-a" }).unread(), [], "a pod without name, labels and annotations is read");
  t.strictSame(censusOf(newer).unredirected(), []);
});
