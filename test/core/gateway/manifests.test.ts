import { readFileSync } from "node:fs";
import t from "tap";
import { wantOf } from "../../making.ts";
import { parseAllDocuments, stringify } from "yaml";
import { type PlacedGateway, readConfig } from "../../../src/core/config/config.ts";
import { allocate, withStaticForwards } from "../../../src/core/forwards/allocate.ts";
import { emptyTable, type Table } from "../../../src/core/forwards/table.ts";
import { deploymentManifest } from "../../../src/core/gateway/deployment.ts";
import {
  networkPolicyManifest,
  scriptsManifest,
  serviceManifest,
  tableManifest,
} from "../../../src/core/gateway/manifests.ts";

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

t.test("a tunnel without namespaces is every namespace's", async (t) => {
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
      ).spec.ingress;
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

t.test("a forward whose tunnel is no longer configured admits nobody", async (t) => {
  const gone = { ...gateway, tunnels: gateway.tunnels.map((tunnel) => ({ ...tunnel, name: "wg9" })) };
  t.match(networkPolicyManifest(gone, table(), config.podSelector), { spec: { ingress: { length: 0 } } });
});
