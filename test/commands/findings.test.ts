import t from "tap";
import { ClusterError } from "../../src/cluster/cluster.ts";
import { clusterFindings, notKept } from "../../src/commands/upkeep/findings.ts";
import { createCensus } from "../../src/core/census.ts";
import { deploymentManifest } from "../../src/core/gateway/deployment.ts";
import { kindAndName } from "../../src/provisioning/objects.ts";
import { fail, reject } from "../../src/core/reasons.ts";
import { configOf, gatewayOf, scripts } from "../making.ts";

const config = configOf("gateways: [{name: gw, namespace: vpn, tunnels: [{name: wg0, secretName: key, namespaces: [team-a], allowedTargets: [10.0.0.5:1433]}]}]"); // prettier-ignore
const gateway = gatewayOf(config);

t.test("a gateway that could not be reconciled says why", async (t) => {
  const ref = { kind: "ConfigMap", name: "gw-forwards", namespace: "vpn" } as const;
  const error = new ClusterError({ verb: "get", ref, code: 403, reason: "Forbidden", says: "no right to read" });
  t.match(notKept(gateway, error), { reason: "not-kept", says: /no right to read \(403 Forbidden\)/ });
  const failure = { ...fail("deadline", "no answer in 9 s"), gateway };
  t.equal(notKept(gateway, failure).says, "deadline: no answer in 9 s");
  const rejection = { ...reject("gateway-full", "Service vpn/gw"), gateway };
  t.match(notKept(gateway, rejection).says, /^gateway-full: Service vpn\/gw/);
});

t.test("findings about a cluster name the Deployment or the pod", async (t) => {
  const census = createCensus(config);
  const labels = { "app.kubernetes.io/name": "flowgen" };
  census.add({ name: "unredirected", namespace: "team-a", labels, annotations: { "flowgen.io/private-targets": "sql=10.0.0.5:1433" } }); // prettier-ignore
  census.add({ name: "newer", namespace: "team-a", labels, annotations: { "flowgen.io/gateway-status": '{"format": 99}' } }); // prettier-ignore
  const manifest = deploymentManifest(gateway, scripts);
  const orphan = { ...manifest, metadata: { ...manifest.metadata, name: "old" } };
  const findings = clusterFindings(census, [orphan], [gateway]);
  t.strictSame(
    findings.map(({ reason, about }) => `${reason} ${kindAndName(about)}`),
    ["orphan Deployment vpn/old", "unredirected Pod team-a/unredirected", "format-newer Pod team-a/newer"],
  );
  t.equal(findings[0]?.about, orphan, "the object as it was read, so that an Event can name its uid");
  t.equal(kindAndName({ kind: "Pod", metadata: { namespace: "team-a" } }), "Pod team-a/");
});
