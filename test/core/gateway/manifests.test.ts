import { readFileSync } from "node:fs";
import t from "tap";
import { parseAllDocuments, stringify } from "yaml";
import { type PlacedGateway, readConfig } from "../../../src/core/config/config.ts";
import { allocate, withStaticForwards } from "../../../src/core/forwards/allocate.ts";
import { emptyTable, type Table } from "../../../src/core/forwards/table.ts";
import {
  deploymentManifest,
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
  const result = allocate(withStaticForwards(emptyTable, gateway).table, gateway, [
    { tunnel: "wg0", target: { name: "mssql", host: "10.0.0.5", port: 1433, hostEnv: [], portEnv: [] } },
    { tunnel: "wg0", target: { name: "postgres", host: "10.0.0.6", port: 5432, hostEnv: [], portEnv: [] } },
  ]);
  if (result.kind === "reject") throw new Error(result.message);
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

t.test("the Deployment does not depend on the table, and does on the scripts", async (t) => {
  const template = (hash: string) => JSON.stringify(deploymentManifest(gateway, { ...scripts, hash }));
  t.equal(template("a"), template("a"));
  t.not(template("a"), template("b"));
  t.notMatch(template("a"), /1433|5432|10\.0\.0\.5/);
});

t.test("pull secrets and a tunnel without namespaces", async (t) => {
  const open = {
    ...gateway,
    imagePullSecrets: [{ name: "regcred" }],
    tunnels: gateway.tunnels.map(({ namespaces: _, ...tunnel }) => tunnel),
  };
  t.match(deploymentManifest(open, scripts), {
    spec: { template: { spec: { imagePullSecrets: [{ name: "regcred" }] } } },
  });
  const { spec } = networkPolicyManifest(open, table(), config.podSelector) as unknown as {
    spec: { ingress: { from: { namespaceSelector: object }[] }[] };
  };
  t.strictSame(spec.ingress[0]?.from[0]?.namespaceSelector, {}, "every namespace");
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

type Container = {
  readonly env: { readonly name: string; readonly value: string }[];
  readonly securityContext: unknown;
};
const pod = (changes: Partial<PlacedGateway>) => {
  const { spec } = deploymentManifest({ ...gateway, ...changes }, scripts) as unknown as {
    spec: { template: { spec: { containers: [Container, Container] } } };
  };
  const [wireguard, portForward] = spec.template.spec.containers;
  return { wireguard, portForward };
};

t.test("the admin's env come before what the webhook sets itself", async (t) => {
  const { wireguard } = pod({ env: [{ name: "MAX_HANDSHAKE_AGE", value: "240" }] });
  t.strictSame(wireguard.env, [
    { name: "MAX_HANDSHAKE_AGE", value: "240" },
    { name: "DRAIN", value: "0.5" },
  ]);
});

t.test("the kernel forwards where the config says so", async (t) => {
  for (const forwarder of ["auto", "socat"] as const) t.strictSame(pod({ forwarder }), pod({}), forwarder);
  const { wireguard, portForward } = pod({ forwarder: "kernel" });
  t.match(wireguard.env.at(-1), { name: "FORWARDER", value: "kernel" });
  t.match(wireguard.securityContext, { capabilities: { drop: ["ALL"], add: ["NET_ADMIN", "NET_RAW"] } });
  t.strictSame(portForward, pod({}).portForward, "the socat container is the same");
});

t.test("the container with the tunnels has what it needs and no more, or what the admin says", async (t) => {
  const context = (securityContext: Record<string, unknown>) => pod({ securityContext }).wireguard.securityContext;
  t.strictSame(context({}), { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"], add: [] } });
  t.strictSame(context({ allowPrivilegeEscalation: true, capabilities: { add: ["NET_ADMIN"], drop: ["CHOWN"] } }), {
    allowPrivilegeEscalation: true,
    capabilities: { add: ["NET_ADMIN"], drop: ["CHOWN"] },
  });
  for (const admin of [{ privileged: true }, { capabilities: { add: ["SYS_ADMIN"] } }])
    t.strictSame(context(admin), admin, "the API server refuses less beside it");
});

t.test("a forward whose tunnel is no longer configured admits nobody", async (t) => {
  const gone = { ...gateway, tunnels: gateway.tunnels.map((tunnel) => ({ ...tunnel, name: "wg9" })) };
  t.match(networkPolicyManifest(gone, table(), config.podSelector), { spec: { ingress: { length: 0 } } });
});
