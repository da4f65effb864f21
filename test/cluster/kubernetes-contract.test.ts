// The rules of the cluster port on a real API server. Without controllers, which would write to the objects as well.
import t from "tap";
import type { Cluster, KubeObject, Ref } from "../../src/cluster/cluster.ts";
import { connect } from "../../src/cluster/kubernetes.ts";
import { contract, must } from "../cluster-port/contract.ts";
import type { Subject } from "../cluster-port/contract.ts";
import { setEnv } from "../environment.ts";
import { startControlPlane } from "../lab/control-plane/control-plane.ts";

const controlPlane = await startControlPlane({ controllerManager: false });
t.teardown(controlPlane.stop);
const admin = await connect("kubeconfig", { kubeconfigPath: controlPlane.kubeconfig });

/** Runs kubectl, which must succeed, and returns what it prints. */
async function kubectl(args: readonly string[], input = ""): Promise<string> {
  const { code, stdout, stderr } = await controlPlane.kubectl(args, { input });
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function editAs(manager: string, ref: Ref, change: (object: KubeObject) => KubeObject): Promise<KubeObject> {
  const changed = change(await must(admin, ref));
  await kubectl(["replace", `--field-manager=${manager}`, "-f", "-"], JSON.stringify(changed));
  return must(admin, ref);
}

async function remove({ kind, namespace, name }: Ref): Promise<void> {
  await kubectl(["delete", kind, name, `--namespace=${namespace}`, "--wait=false"]);
}

let namespaces = 0;

// A namespace per rule, never deleted: without its controller a namespace stays Terminating.
const subjectOf = (cluster: Cluster) => async (): Promise<Subject> => {
  const namespace = `contract-${++namespaces}`;
  await kubectl(["create", "namespace", namespace]);
  return { cluster, namespace, editAs, remove, done: () => Promise.resolve() };
};

/** A cluster by a ServiceAccount's token, with all rights. */
async function inCluster(): Promise<Cluster> {
  await kubectl(["create", "serviceaccount", "contract", "--namespace=default"]);
  await kubectl([
    "create",
    "clusterrolebinding",
    "contract",
    "--clusterrole=cluster-admin",
    "--serviceaccount=default:contract",
  ]);
  const token = await kubectl(["create", "token", "contract", "--namespace=default"]);
  const files = { "ca.crt": controlPlane.ca, token };
  const root = t.testdir({ var: { run: { secrets: { "kubernetes.io": { serviceaccount: files } } } } });
  const { hostname, port } = new URL(controlPlane.url);
  setEnv(t, { ...process.env, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port });
  return connect("in-cluster", { root });
}

const pod = await inCluster();
await Promise.all([
  contract(t, "a real API server by a kubeconfig", subjectOf(admin)),
  contract(t, "a real API server by a ServiceAccount's files", subjectOf(pod)),
]);
