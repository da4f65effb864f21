// The start of a gateway on a real API server: the EndpointSlices have its pod before that is ready, until it has been
// ready once. There is no node: this test says what a kubelet would.
import t from "tap";
import { isPublished } from "../../src/core/gateway/start.ts";
import { type ApiObject, connectTo } from "../lab/control-plane/api.ts";
import { flowgenPod, GATEWAY, ONE_TUNNEL, startScene, targets } from "../lab/control-plane/scene.ts";
import { eventually, until } from "../wait.ts";

const scene = await startScene(t, { config: ONE_TUNNEL });
const { installed, made } = scene;
const api = connectTo(scene.controlPlane);
t.teardown(api.close);
const options = ["--repair-seconds=30"];
const replicas = [await installed.start({ options }), await installed.start({ port: 0, options })];
t.teardown(() => Promise.all(replicas.map((replica) => replica.kill())));

const core = `/api/v1/namespaces/${GATEWAY.namespace}`;
const services = async (): Promise<readonly ApiObject[]> => api.list(`${core}/services`);
type Slice = ApiObject & {
  readonly endpoints?: readonly { readonly conditions: { readonly ready: boolean } }[] | null;
};
/** Whether each Service's endpoint takes connections; nothing of a Service without an endpoint. */
const taking = async (): Promise<readonly boolean[]> =>
  (await api.list<Slice>(`/apis/discovery.k8s.io/v1/namespaces/${GATEWAY.namespace}/endpointslices`)).flatMap(
    ({ endpoints }) => (endpoints ?? []).map(({ conditions }) => conditions.ready),
  );
/** The controllers take an endpoint on an unknown node for none. */
const NODE = "played";
const bind = async (): Promise<void> => {
  await api.ask("POST", "/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata: { name: NODE } });
  const { metadata } = await eventually("a pod", 20_000, async () => (await api.list(`${core}/pods`))[0]);
  const target = { kind: "Node", name: NODE };
  const binding = { apiVersion: "v1", kind: "Binding", metadata: { name: metadata.name }, target };
  await api.ask("POST", `${core}/pods/${metadata.name}/binding`, binding);
};
const setReady = async (status: "True" | "False"): Promise<void> => {
  const [pod] = await api.list(`${core}/pods`);
  const conditions = [{ type: "Ready", status, lastTransitionTime: new Date().toISOString() }];
  const report = { status: { phase: "Running", podIP: "10.244.0.9", podIPs: [{ ip: "10.244.0.9" }], conditions } };
  const path = `${core}/pods/${pod?.metadata.name}/status`;
  await api.ask("PATCH", path, report, "application/strategic-merge-patch+json");
};

t.test("the pod is an endpoint before it is ready, and after that only while it is", async (t) => {
  const writes: string[] = [];
  await api.watch(`${core}/services/`, ({ metadata }, type) => void writes.push(`${type} ${metadata.name}`));
  await made(flowgenPod("team-a", "first", targets("a=10.0.0.5:1433, b=10.0.0.6:1433")));
  const before = await services();
  t.strictSame(before.map(isPublished), [true, true]);
  await bind();
  await setReady("False");
  await until("both Services take connections", async () => (await taking()).join() === "true,true", 20_000);
  writes.length = 0;

  await setReady("True");
  await until("the start is over", async () => (await services()).every((each) => !isPublished(each)), 20_000);
  t.strictSame(await taking(), [true, true], "a ready pod");
  await setReady("False");
  await until("both Services refuse", async () => (await taking()).join() === "false,false", 20_000);
  t.strictSame(writes.sort(), before.map(({ metadata }) => `MODIFIED ${metadata.name}`).sort(), "one write each");
});
