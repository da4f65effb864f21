// Earlier versions of the webhook beside this one, on a real API server.
import t from "tap";
import { connect } from "../../src/cluster/kubernetes.ts";
import { FORMER, tellStory } from "../former.ts";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";

const controlPlane = await startControlPlane({ controllerManager: false });
t.teardown(controlPlane.stop);
const cluster = await connect("kubeconfig", { kubeconfigPath: controlPlane.kubeconfig });

for (const name of FORMER)
  t.test(`an earlier version (${name}) beside this one`, async (t) => {
    const { code, stderr } = await controlPlane.kubectl(["create", "namespace", name]);
    t.equal(code, 0, stderr);
    await tellStory(t, { cluster, namespace: name }, name);
  });
