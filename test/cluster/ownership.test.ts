// Ownership of objects: those that the webhook does not touch, those that it repairs, and its rights. The objects are
// objects only: nothing here runs a gateway or enforces its NetworkPolicy.
import t from "tap";
import { stringify } from "yaml";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { asWebhook, privileges } from "../lab/control-plane/privileges.ts";
import { flowgenPod, GATEWAY, startScene, targets } from "../lab/control-plane/scene.ts";

const gateway = (name: string): object => ({
  name,
  namespace: GATEWAY.namespace,
  tunnels: [{ name: "wg0", secretName: `peer-of-${name}`, allowedTargets: ["10.0.0.0/8"] }],
});
const mistaken = { ...gateway("mistaken"), securityContext: { privilegd: true } };
const FOREIGN = ["Service", "Deployment", "NetworkPolicy", "ConfigMap forwards", "ConfigMap scripts"] as const;
const nameFor = (what: string): string => `taken-${what.toLowerCase().replace(" ", "-")}`;
const config = stringify({
  mode: "enforce",
  defaultGateway: GATEWAY.name,
  gateways: [gateway(GATEWAY.name), mistaken, ...FOREIGN.map((what) => gateway(nameFor(what)))],
});

const scene = await startScene(t, { config });
const { controlPlane, installed, kubectl, get, list, create, apply } = scene;
const webhook = await installed.start();
t.teardown(webhook.stop);

const KINDS = "services,deployments,networkpolicies,configmaps";
const named = `--namespace=${GATEWAY.namespace}`;
/**
 * The test makes changes that the policy of the gateways' objects refuses to others, to see how the webhook mends them.
 */
const asBreaker = await breakGlass(kubectl, GATEWAY.namespace);
type WithSpec = KubeObject & { readonly spec: Readonly<Record<string, unknown>> };
const read = (kind: string, name: string = GATEWAY.name): Promise<WithSpec> => get<WithSpec>(kind, name, named);
const derived = async () => ({
  service: await read("service"),
  deployment: await read("deployment"),
  networkpolicy: await read("networkpolicy"),
});
const versions = async (): Promise<readonly string[]> =>
  (await list(KINDS, named)).map(
    ({ kind, metadata }) => `${kind} ${metadata.name ?? ""} ${metadata.resourceVersion ?? ""}`,
  );

let pods = 0;
/** A pod that asks for a target through a gateway: is it admitted? */
const ask = (target: string, via: string = GATEWAY.name) =>
  create(flowgenPod("team-a", `asks-${++pods}`, { ...targets(target), "flowgen.io/gateway": via }));
/** A new target: the objects are read and written for it. */
const askForAnother = async (): Promise<void> => {
  const { code, stderr } = await ask(`t${++pods}=10.0.1.${pods}:5432`);
  if (code !== 0) throw new Error(stderr);
};

t.test("another owner's object of the gateway's name: the pod is refused, and the object is unchanged", async (t) => {
  const selector = { matchLabels: { app: "theirs" } };
  const template = { metadata: { labels: { app: "theirs" } }, spec: { containers: [{ name: "c", image: "x" }] } };
  const theirs = (what: string, apiVersion: string, body: object): object => {
    const [kind = "", part] = what.split(" ");
    const labels = { "app.kubernetes.io/managed-by": "Helm" };
    const name = nameFor(what) + (part === undefined ? "" : `-${part}`);
    return { apiVersion, kind, metadata: { name, namespace: GATEWAY.namespace, labels }, ...body };
  };
  await apply(
    theirs("Service", "v1", { spec: { ports: [{ port: 80 }] } }),
    theirs("Deployment", "apps/v1", { spec: { replicas: 0, selector, template } }),
    theirs("NetworkPolicy", "networking.k8s.io/v1", { spec: { podSelector: {} } }),
    theirs("ConfigMap forwards", "v1", { data: { "table.json": '{"version":1,"forwards":[]}' } }),
    theirs("ConfigMap scripts", "v1", { data: {} }),
  );
  const before = await versions();
  for (const what of FOREIGN) {
    const { code, stderr } = await ask("mssql=10.0.0.5:1433", nameFor(what));
    t.equal(code, 1);
    const [kind = ""] = what.split(" ");
    t.match(stderr, new RegExp(`denied the request: object-unmanaged: ${kind} flowgen-gateway/${nameFor(what)}`));
    t.match(
      stderr,
      /not managed by flowgen-gateway-webhook; take over a gateway of the flowgen chart with `flowgen-gateway adopt`/,
    );
  }
  t.strictSame(await versions(), before, "neither they nor any other object of those gateways was written");

  await t.test(
    "an object that gets the webhook's label is taken over; a Deployment's selector cannot be",
    async (t) => {
      const handOver = (kind: string) =>
        kubectl([
          ...["label", kind, nameFor(kind), named, asBreaker, "--overwrite"],
          "app.kubernetes.io/managed-by=flowgen-gateway-webhook",
        ]);
      await handOver("NetworkPolicy");
      t.match(await ask("mssql=10.0.0.5:1433", nameFor("NetworkPolicy")), { code: 0 });
      t.match(await read("networkpolicy", nameFor("NetworkPolicy")), {
        spec: { ingress: [{ ports: [{ port: 1433 }] }] },
      });
      await handOver("Deployment");
      const { code, stderr } = await ask("mssql=10.0.0.5:1433", nameFor("Deployment"));
      t.equal(code, 1);
      t.match(
        stderr,
        /selector-other: Deployment flowgen-gateway\/taken-deployment: .*; take it over with `flowgen-gateway adopt`/,
      );
    },
  );
});

t.test("a gateway's config that the API server refuses: reported at once, with the field", async (t) => {
  const { code, stderr } = await ask("mssql=10.0.0.5:1433", "mistaken");
  t.equal(code, 1);
  t.match(stderr, /failed calling webhook .*: api-error: .* cannot apply deployments flowgen-gateway\/mistaken: /);
  t.match(stderr, /securityContext\.privilegd: field not declared in schema/);
  t.match(
    await webhook.metrics(),
    /api_calls_total\{verb="apply",kind="Deployment",code="422"\} 1\n/,
    "no retry mends it",
  );
});

t.test("fields that others add to the gateway's objects stay, and the webhook's own fields come back", async (t) => {
  await askForAnother();
  const patch = (kind: string, body: object, name: string = GATEWAY.name) =>
    kubectl([
      "patch",
      kind,
      name,
      named,
      asBreaker,
      "--type=merge",
      "--field-manager=somebody",
      `--patch=${JSON.stringify(body)}`,
    ]);
  const note = { labels: { team: "net" }, annotations: { "example.com/note": "mine" } };
  const noted = { metadata: note };
  await patch("service", { ...noted, spec: { sessionAffinity: "ClientIP", internalTrafficPolicy: "Local" } });
  const template = { metadata: { annotations: { "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z" } } };
  await patch("deployment", { ...noted, spec: { minReadySeconds: 3, template } });
  await patch("networkpolicy", noted);
  await patch("configmap", { ...noted, data: { theirs: "1" } }, `${GATEWAY.name}-forwards`);
  await patch("configmap", { ...noted, data: { theirs: "1" } }, `${GATEWAY.name}-scripts`);

  const before = await derived();
  await patch("service", {
    spec: { selector: { app: "theirs" }, ports: [{ name: "theirs", port: 9, protocol: "TCP" }] },
  });
  await patch("deployment", { spec: { replicas: 2, strategy: { type: "RollingUpdate" } } });
  await patch("networkpolicy", { spec: { ingress: [{}] } });
  await patch("configmap", { data: { forwards: "" } }, `${GATEWAY.name}-forwards`);
  await patch("configmap", { data: { "tunnel.sh": null, "forward.sh": "exit 1" } }, `${GATEWAY.name}-scripts`);
  await askForAnother();

  const after = await derived();
  t.match(after.service, { spec: { sessionAffinity: "ClientIP", internalTrafficPolicy: "Local" } });
  t.strictSame(after.service.spec["selector"], before.service.spec["selector"]);
  const ports = (after.service.spec["ports"] as { port: number }[]).map(({ port }) => port);
  t.strictSame(ports.sort(), [5432, 9].sort(), "a port that others add is one more");
  t.strictSame(after.deployment.spec, before.deployment.spec, "as it was, with what others had added");
  const rules = before.networkpolicy.spec["ingress"] as object[];
  t.match(
    after.networkpolicy.spec["ingress"],
    [...rules.slice(0, -1), {}, rules.at(-1)],
    "that of the metrics is the last",
  );
  const table = await read("configmap", `${GATEWAY.name}-forwards`);
  t.match(table, { data: { theirs: "1", forwards: /^5432 10\.0\.1\.\d+ 5432 wg0\n5433 10\.0\.1\.\d+ 5432 wg0\n$/ } });
  const scripts = await read("configmap", `${GATEWAY.name}-scripts`);
  t.match(scripts, { data: { theirs: "1", "tunnel.sh": /^#!/, "forward.sh": /^#!/ } });
  for (const object of [...Object.values(after), table, scripts]) t.match(object.metadata, note, object.kind);
});

t.test("the Deployment's generation changes with its spec and its annotations, never with a target", async (t) => {
  const { generation = 0 } = (await read("deployment")).metadata;
  const moved = async (): Promise<number> => ((await read("deployment")).metadata.generation ?? 0) - generation;
  await askForAnother();
  t.equal(await moved(), 0, "a target");
  await kubectl(["label", "deployment", GATEWAY.name, named, "a=b"]);
  t.equal(await moved(), 0, "a label");
  await kubectl(["annotate", "deployment", GATEWAY.name, named, "a=b"]);
  t.equal(await moved(), 1, "an annotation");
  await kubectl(["scale", "deployment", GATEWAY.name, named, asBreaker, "--replicas=0"]);
  t.equal(await moved(), 2, "its replicas");
  await askForAnother();
  t.equal(await moved(), 3, "that they are one again");
  t.match(await read("deployment"), { spec: { replicas: 1 } });
});

t.test(
  "deleted objects are made again, the table too; but never an empty table beside a Service that pods use",
  async (t) => {
    const ports = (await read("service")).spec["ports"];
    await kubectl(["delete", "service,deployment,networkpolicy", GATEWAY.name, named, asBreaker]);
    await kubectl(["delete", "configmap", `${GATEWAY.name}-scripts`, named, asBreaker]);
    await askForAnother();
    t.match(
      (await read("service")).spec["ports"],
      (ports as { name: string }[]).filter(({ name }) => name !== "theirs"),
    );
    for (const kind of ["deployment", "networkpolicy"]) t.ok(await read(kind));
    t.ok(await read("configmap", `${GATEWAY.name}-scripts`));

    const table = `${GATEWAY.name}-forwards`;
    const lines = async (): Promise<readonly string[]> =>
      (await get<{ data: { forwards: string } }>("configmap", table, named)).data.forwards.split("\n").sort();
    const before = await lines();
    await kubectl(["delete", "configmap", table, named, asBreaker]);
    await askForAnother();
    const after = await lines();
    t.equal(after.length, before.length + 1);
    t.strictSame(
      after.filter((line) => before.includes(line)),
      before,
      "made again of what the Services carry",
    );
    await kubectl(["annotate", "service", GATEWAY.name, named, asBreaker, "flowgen.io/forwards-"]);
    await kubectl(["delete", "configmap", table, named, asBreaker]);
    const { code, stderr } = await ask("late=10.0.2.1:5432");
    t.equal(code, 1);
    t.match(
      stderr,
      /table-invalid: ConfigMap flowgen-gateway\/flowgen-wireguard-gateway-forwards is missing, and Service flowgen-wireguard-gateway does not carry its lines.*restore the ConfigMap/,
    );
  },
);

t.test("the rights of the webhook's ServiceAccount, beyond those of every account", async (t) => {
  const registration =
    "get,patch mutatingwebhookconfigurations of admissionregistration.k8s.io named flowgen-gateway-webhook";
  /** In every namespace: its registration, and Events about workloads. */
  const everywhere = ["create events of core", "get deployments/scale of apps", registration];
  const expected: Readonly<Record<string, readonly string[]>> = {
    "flowgen-gateway": [
      ...everywhere,
      "get,create,patch configmaps of core",
      "get,create,patch networkpolicies of networking.k8s.io",
      "get,create,patch,delete deployments of apps",
      "get,create,patch,delete poddisruptionbudgets of policy",
      "get,list,create,patch,delete services of core",
      "list deployments of apps",
      "list,patch pods of core",
    ],
    "flowgen-gateway-webhook": [...everywhere, "get,create,patch secrets of core named flowgen-gateway-webhook-tls"],
  };
  const namespaces = (await list("namespaces")).map(({ metadata }) => metadata.name ?? "");
  t.ok(namespaces.length > 5);
  for (const namespace of namespaces) {
    const rights = new Set(await privileges(scene, namespace));
    t.strictSame([...rights].sort(), (expected[namespace] ?? everywhere).toSorted(), namespace);
  }
  await kubectl(["create", "secret", "generic", "wireguard-client-a", named]);
  const secret = await controlPlane.kubectl(["get", "secret", "wireguard-client-a", named, asWebhook(scene)]);
  t.match(secret, {
    code: 1,
    stderr: /cannot get resource "secrets" in API group "" in the namespace "flowgen-gateway"/,
  });
});
