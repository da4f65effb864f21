import t from "tap";
import {
  missingForwards,
  missingTunnels,
  readChartGateway,
  isGatewayService,
} from "../../../src/core/gateway/chart.ts";
import { configOfChart } from "../../../src/core/gateway/chart-config.ts";
import { chartGateway } from "../../lab/flowgen/chart-gateway.ts";
import { configOf, gatewayOf } from "../../making.ts";

const forwards = [
  { name: "mssql", port: 1433, targetHost: "10.0.0.5", targetPort: 1433 },
  { name: "postgres", port: 5432, targetHost: "10.0.0.6", targetPort: 5432, servicePort: 15432 },
];
const wish = { namespace: "team-a", release: "flowgen", secretName: "key", forwards };
const [deployment, service] = chartGateway(wish);
const place = { namespace: "team-a", name: "flowgen-wireguard-gateway" };

/** The chart's Deployment with other content in its containers. */
const changed = (
  change: (containers: Record<string, unknown>[], volumes: Record<string, unknown>[]) => void,
): object => {
  const copy = structuredClone(deployment) as unknown as {
    spec: { template: { spec: { containers: Record<string, unknown>[]; volumes: Record<string, unknown>[] } } };
  };
  change(copy.spec.template.spec.containers, copy.spec.template.spec.volumes);
  return copy;
};
const withArgs = (args: readonly string[]): object =>
  changed((containers) => Object.assign(containers[1] ?? {}, { args, ports: undefined }));

t.test("tunnels and forwards of the chart's gateway", async (t) => {
  t.strictSame(readChartGateway(deployment, service), {
    tunnels: [{ name: "wg0", secretName: "key", secretKey: "wg0.conf" }],
    forwards: forwards.map((forward) => ({ servicePort: forward.port, ...forward })),
    unread: [],
  });
  t.equal(readChartGateway(deployment, undefined)?.forwards[1]?.servicePort, 5432, "without a Service: its own port");
  t.ok(isGatewayService(service));
  t.notOk(isGatewayService(deployment));
});

t.test("another Deployment is not read", async (t) => {
  t.equal(readChartGateway(undefined, service), undefined);
  t.equal(readChartGateway({ spec: {} }, service), undefined);
  const renamed = (at: number) => changed((containers) => Object.assign(containers[at] ?? {}, { name: "other" }));
  t.equal(readChartGateway(renamed(0), service), undefined);
  t.equal(readChartGateway(renamed(1), service), undefined);
});

t.test("lines: comments, options, IPv6 and names; lines that are not read are named", async (t) => {
  const lines = [
    "# by hand",
    "  socat TCP4-LISTEN:1433,fork TCP4:10.0.0.5:1433,connect-timeout=5 &",
    "socat TCP6-LISTEN:2000 TCP6:[fd00::5]:2001",
    "socat TCP-LISTEN:2002,fork TCP:db.corp.example.com:2003 &",
    "socat TCP-LISTEN:2004,fork TCP:999.1:2003 &",
    "socat UDP-LISTEN:53 UDP:10.0.0.5:53 &",
    "wait",
  ];
  const read = readChartGateway(withArgs([lines.join("\n")]), undefined);
  t.strictSame(
    read?.forwards.map(({ name, port, targetHost, targetPort }) => [name, port, targetHost, targetPort]),
    [
      ["forward-1433", 1433, "10.0.0.5", 1433],
      ["forward-2000", 2000, "fd00::5", 2001],
      ["forward-2002", 2002, "db.corp.example.com", 2003],
    ],
  );
  t.strictSame(read?.unread, [
    '"socat TCP-LISTEN:2004,fork TCP:999.1:2003 &"',
    '"socat UDP-LISTEN:53 UDP:10.0.0.5:53 &"',
  ]);
});

t.test("ports of the Service: by name, and those without a listener", async (t) => {
  const ports = [
    { name: "a", port: 1, targetPort: "mssql" },
    { name: "b", port: 2, targetPort: 1433 },
    { name: "c", port: 5432, targetPort: 5432 },
  ];
  const read = readChartGateway(deployment, { ...service, spec: { ...(service["spec"] as object), ports } });
  t.strictSame(
    read?.forwards.map(({ servicePort }) => servicePort),
    [1, 5432],
  );
  t.strictSame(read?.unread, ["the Service's port 2, which leads to 1433"]);
});

t.test("tunnels: a mount without a Secret is none; the key is that of the mount", async (t) => {
  const of = (mount: object) =>
    readChartGateway(
      changed((containers) => Object.assign(containers[0] ?? {}, { volumeMounts: [mount] })),
      service,
    )?.tunnels;
  t.strictSame(of({ name: "lib-modules", mountPath: "/config/wg0.conf" }), []);
  t.strictSame(of({ name: "wg0-config", mountPath: "/config" }), []);
  t.strictSame(of({ name: "wg0-config", mountPath: "/config/wg0.conf" }), [
    { name: "wg0", secretName: "key", secretKey: "wg0.conf" },
  ]);
  const keyed = of({ name: "wg0-config", mountPath: "/config/wg0.conf", subPath: "client" });
  t.match(keyed, [{ secretKey: "client" }]);
  const chart = { tunnels: keyed ?? [], forwards: [], unread: [] };
  t.strictSame(configOfChart(place, chart), {
    ...place,
    tunnels: [{ name: "wg0", secretName: "key", secretKey: "client" }],
  });
});

t.test(
  "the parts of the chart's gateway that a config lacks; the printed entry lacks nothing, also below port 1024",
  async (t) => {
    const low = { name: "https", port: 443, targetHost: "10.0.0.7", targetPort: 443 };
    const chart = readChartGateway(...chartGateway({ ...wish, forwards: [...forwards, low] }));
    if (chart === undefined) throw new Error("not read");
    const own = gatewayOf(configOf(JSON.stringify({ gateways: [configOfChart(place, chart)] })));
    t.strictSame([missingForwards(chart, own), missingTunnels(chart, own)], [[], []]);
    const other = gatewayOf(
      configOf(
        "gateways: [{name: g, tunnels: [{name: wg0, secretName: other, portForwards: [{name: a, port: 1433, targetHost: 10.0.0.5, targetPort: 1433}, {name: b, port: 5432, targetHost: 10.0.0.6, targetPort: 5432}]}]}]",
      ),
    );
    t.match(missingForwards(chart, other), [{ name: "postgres", servicePort: 15432 }, { name: "https" }]);
    t.match(missingTunnels(chart, other), [{ name: "wg0", secretName: "key" }]);
  },
);
