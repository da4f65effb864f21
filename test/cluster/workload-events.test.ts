// The Events about workloads whose pods are refused, and about gateways that restart, on a real API server, with the
// rights that the chart gives.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import {
  flowgenDeployment,
  flowgenTemplate,
  GATEWAY,
  ONE_TUNNEL,
  startScene,
  targets,
} from "../lab/control-plane/scene.ts";
import { eventually } from "../wait.ts";

const scene = await startScene(t, { config: ONE_TUNNEL });
const { kubectl, apply, list, podsOf, installed, controlPlane } = scene;
const start = async (t: Test, ...options: readonly string[]) => {
  const webhook = await installed.start({ options });
  t.teardown(webhook.stop);
  return webhook;
};

type Event = {
  readonly reason: string;
  readonly message: string;
  readonly involvedObject: { readonly kind: string; readonly name: string };
  readonly source: { readonly component?: string };
};
/** All that the webhook has written about objects of the team. */
const told = async (): Promise<readonly Event[]> =>
  (await list<Event>("events", "--namespace=team-a")).filter(
    ({ source }) => source.component === "flowgen-gateway-webhook",
  );
const toldOf = (name: RegExp): Promise<readonly Event[]> =>
  eventually(`an Event about ${String(name)}`, 20_000, async () => {
    const found = (await told()).filter(({ involvedObject }) => name.test(involvedObject.name));
    return found.length > 0 ? found : undefined;
  });
/** The ReplicaSet controller's own: it says when a pod was refused. */
const triesOf = async (name: string): Promise<number> => {
  const events = await list<Event & { readonly count?: number }>("events", "--namespace=team-a");
  const of = events.filter(
    ({ reason, involvedObject }) => reason === "FailedCreate" && involvedObject.name.startsWith(name),
  );
  return of.reduce((sum, { count = 1 }) => sum + count, 0);
};
const refusedBy = (name: string) => flowgenDeployment("team-a", name, 1, targets("mssql=192.168.0.5:1433"));
/** Its pods would be refused again by the next webhook, which has written no Event yet. */
const remove = (kind: string, name: string) => kubectl(["delete", kind, name, "--namespace=team-a"]);
const job = (name: string) => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { name, namespace: "team-a" },
  spec: {
    template: withRestart(flowgenTemplate(name, targets("mssql=192.168.0.5:1433"))),
  },
});
const withRestart = ({ metadata, spec }: ReturnType<typeof flowgenTemplate>) => ({
  metadata,
  spec: { ...spec, restartPolicy: "Never" },
});

t.test("a refused pod: one Event about its Deployment, for any number of tries of the ReplicaSet", async (t) => {
  await start(t, "--workload-events");
  await apply(refusedBy("refused"));
  const events = await toldOf(/^refused$/);
  t.match(events, [
    {
      reason: "PodRefused",
      message: /^target-not-allowed: .*192\.168\.0\.5:1433/,
      involvedObject: { kind: "Deployment", name: "refused" },
    },
  ]);
  await eventually("five tries", 20_000, async () => (await triesOf("refused-")) >= 5 || undefined);
  t.equal((await told()).length, 1);
  const described = await kubectl(["describe", "deployment", "refused", "--namespace=team-a"]);
  t.match(described, /Warning +PodRefused +\d+s +flowgen-gateway-webhook +target-not-allowed: /);
  await remove("deployment", "refused");
});

t.test("a Job's pod: an Event about the Job", async (t) => {
  await start(t, "--workload-events");
  await apply(job("refused-job"));
  t.match(await toldOf(/^refused-job$/), [{ involvedObject: { kind: "Job" }, message: /^target-not-allowed: / }]);
  t.match(await kubectl(["describe", "job", "refused-job", "--namespace=team-a"]), /Warning +PodRefused/);
  await remove("job", "refused-job");
});

t.test("none for a pod that is served, in a dry run, in audit mode, and without the option", async (t) => {
  const before = await told();
  await t.test("served, and a dry run", async (t) => {
    const webhook = await start(t, "--workload-events");
    await apply(flowgenDeployment("team-a", "served", 2, targets("mssql=10.0.0.5:1433")));
    await podsOf("team-a", "served", 2);
    const pod = { apiVersion: "v1", kind: "Pod", ...withOwner(flowgenTemplate("dry", targets("a=192.168.0.5:1433"))) };
    t.match(await scene.create(pod, "--dry-run=server"), { code: 1, stderr: /target-not-allowed/ });
    t.notMatch(await webhook.metrics(), /api_calls_total\{verb="create",kind="Event"/);
    t.notMatch(await webhook.metrics(), /kind="Scale"/);
  });
  await t.test("audit mode", async (t) => {
    const config = join(controlPlane.folder, "audit.yaml");
    await writeFile(config, `mode: audit${ONE_TUNNEL}`);
    const webhook = await start(t, "--workload-events", `--config=${config}`);
    await apply(refusedBy("audited"));
    await podsOf("team-a", "audited", 1);
    t.notMatch(await webhook.metrics(), /api_calls_total\{verb="create",kind="Event"/);
  });
  await t.test("without the option", async (t) => {
    const webhook = await start(t);
    await apply(refusedBy("quiet"));
    await eventually("a try", 20_000, async () => (await triesOf("quiet-")) > 0 || undefined);
    t.notMatch(await webhook.metrics(), /api_calls_total\{verb="create",kind="Event"/);
  });
  t.strictSame(await told(), before);
});
const withOwner = ({ metadata, spec }: ReturnType<typeof flowgenTemplate>) => {
  const uid = "00000000-0000-0000-0000-000000000001";
  const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "dry-1", uid, controller: true };
  return { metadata: { ...metadata, name: "dry", namespace: "team-a", ownerReferences: [owner] }, spec };
};

t.test("a gateway that restarts: one Event about its Deployment, and none for a new target", async (t) => {
  const restarts = async (): Promise<readonly Event[]> =>
    (await list<Event>("events", `--namespace=${GATEWAY.namespace}`)).filter(
      ({ reason }) => reason === "GatewayRestart",
    );
  const served = async (name: string, target: string): Promise<void> => {
    await apply(flowgenDeployment("team-a", name, 1, targets(target)));
    await podsOf("team-a", name, 1);
  };
  const webhook = await start(t);
  await served("first", "mssql=10.0.0.5:1433");
  await served("second", "postgres=10.0.0.6:5432");
  t.strictSame(await restarts(), []);
  await webhook.stop();

  const newer = join(controlPlane.folder, "newer.yaml");
  await writeFile(newer, ONE_TUNNEL.replace("    tunnels:", "    image: { tag: newer }\n    tunnels:"));
  await start(t, `--config=${newer}`);
  await served("third", "mssql=10.0.0.5:1433");
  await served("fourth", "mongo=10.0.0.7:27017");
  t.match(await restarts(), [
    {
      message: "the gateway's config, images or scripts changed: its pod is replaced",
      involvedObject: { kind: "Deployment", name: GATEWAY.name },
    },
  ]);
  t.match(
    await kubectl(["describe", "deployment", GATEWAY.name, `--namespace=${GATEWAY.namespace}`]),
    /Normal +GatewayRestart/,
  );
});

t.test(
  "without the right to read a scale: about the ReplicaSet; without any right: the pods are refused as before",
  async (t) => {
    const role = "flowgen-gateway-webhook-workload-events";
    const webhook = await start(t, "--workload-events");
    const scaleRule = [{ op: "remove", path: "/rules/1" }];
    await kubectl(["patch", "clusterrole", role, "--type=json", `--patch=${JSON.stringify(scaleRule)}`]);
    await apply(refusedBy("unread"));
    t.match(await toldOf(/^unread-/), [{ involvedObject: { kind: "ReplicaSet" }, reason: "PodRefused" }]);
    await kubectl(["delete", "clusterrolebinding", role]);
    await apply(refusedBy("untold"));
    await eventually("a try", 20_000, async () => (await triesOf("untold-")) > 0 || undefined);
    await eventually(
      "a refused call",
      20_000,
      async () =>
        (await webhook.metrics()).includes('api_calls_total{verb="create",kind="Event",code="403"} 1') || undefined,
    );
    t.strictSame(
      (await told()).filter(({ involvedObject }) => involvedObject.name.startsWith("untold")),
      [],
    );
  },
);
