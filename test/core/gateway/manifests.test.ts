import { readFileSync } from "node:fs";
import t from "tap";
import { wantOf } from "../../making.ts";
import { parseAllDocuments, stringify } from "yaml";
import { type PlacedGateway, readConfig } from "../../../src/core/config/config.ts";
import { allocate, withStaticForwards } from "../../../src/core/forwards/allocate.ts";
import { METRICS_PORT } from "../../../src/core/forwards/ports.ts";
import { emptyTable, type Table } from "../../../src/core/forwards/table.ts";
import { deploymentManifest } from "../../../src/core/gateway/deployment.ts";
import {
  hostServiceManifest,
  scriptsManifest,
  serviceManifest,
  tableManifest,
} from "../../../src/core/gateway/manifests.ts";
import { networkPolicyManifest } from "../../../src/core/gateway/policy.ts";

const read = readConfig(readFileSync(new URL("../../fixtures/manifests/config.yaml", import.meta.url), "utf8"));
if (read.kind === "invalid") throw new Error(read.problems.join("\n"));
const { config } = read;
const gateway = { ...config.gateways[0], namespace: "flowgen-gateway", isPerNamespace: false } as PlacedGateway;
const scripts = { files: { "forward.sh": "#!/bin/sh\n" }, hash: "0123456789abcdef" };
const table = (): Table => {
  const wants = [wantOf("mssql", "10.0.0.5", 1433), wantOf("postgres", "10.0.0.6", 5432)];
  const start = withStaticForwards(emptyTable, gateway).table;
  const result = allocate(start, gateway, [{ wants, objection: () => undefined }]);
  return result.table;
};

t.test("the gateway's objects are those of the golden file", async (t) => {
  const manifests = [
    tableManifest(gateway, table()),
    scriptsManifest(gateway, scripts),
    deploymentManifest(gateway, scripts),
    serviceManifest(gateway, table()),
    networkPolicyManifest(gateway, table(), config.podSelector),
  ];
  const golden = new URL("../../fixtures/manifests/gateway.yaml", import.meta.url);
  const expected = parseAllDocuments(readFileSync(golden, "utf8")).map((document) => document.toJS() as unknown);
  t.strictSame(
    JSON.parse(JSON.stringify(manifests)),
    expected,
    `differs from ${golden.pathname}; now:\n${manifests.map((item) => stringify(item)).join("---\n")}`,
  );
});

t.test("each Service of a gateway, its hosts' too, says to meshes that its ports carry plain TCP", async (t) => {
  const wants = [wantOf("db", "10.0.0.9", 1433, { needsService: true }), wantOf("web", "10.0.0.9", 443)];
  const held = allocate(table(), gateway, [{ wants, objection: () => undefined }]).table;
  const annotated = { ...gateway, serviceAnnotations: { "example.com/mesh": "off" } };
  const own = held.services.map((service) => hostServiceManifest(annotated, held, service));
  t.strictSame(
    own.map(({ metadata, spec }) => [metadata.annotations?.["config.linkerd.io/opaque-ports"], (spec as Spec).ports]),
    [
      [
        "1433,443",
        [
          { name: "db", port: 1433, targetPort: 1434, protocol: "TCP", appProtocol: "tcp" },
          { name: "web", port: 443, targetPort: 1024, protocol: "TCP", appProtocol: "tcp" },
        ],
      ],
    ],
  );
  for (const { metadata, spec } of [serviceManifest(annotated, held), ...own]) {
    const { ports } = spec as Spec;
    t.equal(metadata.annotations?.["config.linkerd.io/opaque-ports"], ports.map(({ port }) => port).join());
    t.ok(ports.every(({ appProtocol }) => appProtocol === "tcp"));
    t.equal(metadata.annotations?.["example.com/mesh"], "off");
  }
});
type Spec = { readonly ports: readonly { readonly port: number; readonly appProtocol: string }[] };

t.test("a tunnel without namespaces serves every namespace", async (t) => {
  const open = { ...gateway, tunnels: gateway.tunnels.map(({ namespaces: _, ...tunnel }) => tunnel) };
  const { spec } = networkPolicyManifest(open, table(), config.podSelector) as unknown as {
    spec: { ingress: { from: { namespaceSelector: object }[] }[] };
  };
  t.strictSame(spec.ingress[0]?.from[0]?.namespaceSelector, {});
});

t.test(
  "a forward is open to the pods that were given it by this gateway, in the namespaces that may use it",
  async (t) => {
    const ingress = (from: PlacedGateway) =>
      (
        networkPolicyManifest(from, table(), config.podSelector) as unknown as {
          spec: { ingress: { from: unknown[] }[] };
        }
      ).spec.ingress.slice(0, -1); // the last one is of the metrics
    t.match(ingress(gateway)[1]?.from, [
      {
        podSelector: {
          matchLabels: { "flowgen.io/gateway": "flowgen-wireguard-gateway", "target.flowgen.io/mssql": "true" },
        },
      },
    ]);
    const own = { ...gateway, namespace: "team-x", isPerNamespace: true };
    for (const rule of ingress(own))
      t.match(rule.from, [{ namespaceSelector: { matchExpressions: [{ values: ["team-x"] }] } }]);
    const [tunnel] = gateway.tunnels;
    const otherPort = {
      ...gateway,
      tunnels: [
        {
          ...tunnel,
          portForwards: tunnel?.portForwards.map((item) => ({ ...item, targetHost: "10.0.0.5", targetPort: 1 })),
        },
      ],
    } as PlacedGateway;
    t.match(
      ingress(otherPort)[0]?.from,
      [{ podSelector: { matchLabels: { "target.flowgen.io/mssql": "true" } } }],
      "another port of a static host is not static",
    );
    const revoked = { ...gateway, tunnels: [{ ...tunnel, allowedTargets: [] }] } as PlacedGateway;
    t.equal(ingress(revoked).length, 1, "what allowedTargets no longer grants is closed; the static forward stays");
  },
);

t.test("a forward whose tunnel is no longer configured admits no pod", async (t) => {
  const gone = { ...gateway, metricsFrom: [], tunnels: gateway.tunnels.map((tunnel) => ({ ...tunnel, name: "wg9" })) };
  t.match(networkPolicyManifest(gone, table(), config.podSelector), { spec: { ingress: { length: 0 } } });
});

t.test("readers of the metrics: Prometheus by its usual label, the peers of the config, or none", async (t) => {
  const rules = (from: PlacedGateway) =>
    (
      networkPolicyManifest(from, emptyTable, config.podSelector) as unknown as {
        spec: { ingress: readonly unknown[] };
      }
    ).spec.ingress;
  const ports = [{ protocol: "TCP", port: METRICS_PORT }];
  const prometheus = {
    namespaceSelector: {},
    podSelector: { matchLabels: { "app.kubernetes.io/name": "prometheus" } },
  };
  t.strictSame(rules(gateway), [{ from: [prometheus], ports }]);
  const metricsFrom = [{ ipBlock: { cidr: "10.1.0.0/16" } }];
  t.strictSame(rules({ ...gateway, metricsFrom }), [{ from: metricsFrom, ports }]);
  t.strictSame(rules({ ...gateway, metricsFrom: [] }), []);
});

t.test("egress: anything, or DNS and what the config names", async (t) => {
  t.match(networkPolicyManifest(gateway, emptyTable, config.podSelector), { spec: { policyTypes: ["Ingress"] } });
  const egress = [{ to: [{ ipBlock: { cidr: "203.0.113.7/32" } }], ports: [{ protocol: "UDP", port: 51820 }] }];
  const dns = {
    ports: [
      { protocol: "UDP", port: 53 },
      { protocol: "TCP", port: 53 },
    ],
  };
  t.match(networkPolicyManifest({ ...gateway, egress }, emptyTable, config.podSelector), {
    spec: { policyTypes: ["Ingress", "Egress"], egress: [dns, ...egress] },
  });
});
