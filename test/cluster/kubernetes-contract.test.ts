// The rules of the cluster port on a real API server. Without controllers, which would write to the objects as well.
import t from "tap";
import type { KubeObject, Ref } from "../../src/cluster/cluster.ts";
import { connect } from "../../src/cluster/kubernetes.ts";
import { contract, must } from "../cluster-port/contract.ts";
import type { Subject } from "../cluster-port/contract.ts";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";

const controlPlane = await startControlPlane({ controllerManager: false });
t.teardown(controlPlane.stop);
const cluster = await connect("kubeconfig", { kubeconfigPath: controlPlane.kubeconfig });

/** Runs kubectl, which must succeed, and returns what it prints. */
async function kubectl(args: readonly string[], input = ""): Promise<string> {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, { input });
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function editAs(manager: string, ref: Ref, change: (object: KubeObject) => KubeObject): Promise<KubeObject> {
  const changed = change(await must(cluster, ref));
  await kubectl(["replace", `--field-manager=${manager}`, "-f", "-"], JSON.stringify(changed));
  return must(cluster, ref);
}

async function remove({ kind, namespace, name }: Ref): Promise<void> {
  await kubectl(["delete", kind, name, `--namespace=${namespace}`, "--wait=false"]);
}

let namespaces = 0;

// A namespace per rule, never deleted: without its controller a namespace stays Terminating.
async function subject(): Promise<Subject> {
  const namespace = `contract-${++namespaces}`;
  await kubectl(["create", "namespace", namespace]);
  return { cluster, namespace, editAs, remove, done: () => Promise.resolve() };
}

await contract(t, "a real API server", subject);
