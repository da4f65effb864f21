/**
 * The Deployments' controllers and the kubelets of a cluster in memory. Each does one step at a call, so a schedule
 * sets their pace. A template is seen late, a pod starts late, and each pod has an older forward table.
 */
import { type KubeObject, refOf } from "../../src/cluster/cluster.ts";
import { TABLE_ANNOTATION } from "../../src/provisioning/converge.ts";
import type { MemoryCluster } from "../../src/emulator/memory.ts";

/** `table`: the lines that it listens on; `seen`: its annotation when it read them. */
type Pod = { readonly name: string; readonly template: string; table: string; seen: string } & {
  isReady: boolean;
  isEnding: boolean;
};
type Template = { readonly metadata: { readonly labels: Readonly<Record<string, string>> } };
type Spec = { readonly template: Template };

export const deploymentsIn = (cluster: MemoryCluster): readonly KubeObject[] =>
  cluster.all().filter(({ kind }) => kind === "Deployment");
export const templateOf = (deployment: KubeObject): string => JSON.stringify((deployment["spec"] as Spec).template);
/** The data of the forward table's ConfigMap. */
export const tableContent = (cluster: MemoryCluster): Readonly<Record<string, string>> => {
  const table = cluster.all().find(({ metadata }) => metadata.name === "gw-forwards");
  return { ...(table?.["data"] as Readonly<Record<string, string>> | undefined) };
};

/** A kubelet reads a ConfigMap without a changed annotation once in this many steps. */
const UNTOLD = 10;

export class Kubelets {
  readonly pods = new Map<string, Pod[]>();
  /** Deployments that a user edited after the last note on them. */
  readonly edited = new Set<string>();
  private readonly cluster: MemoryCluster;
  private readonly random: () => number;
  private count = 0;
  constructor(cluster: MemoryCluster, random: () => number) {
    this.cluster = cluster;
    this.random = random;
  }

  of({ metadata: { uid = "" } }: KubeObject): Pod[] {
    const known = this.pods.get(uid) ?? [];
    this.pods.set(uid, known);
    return known;
  }

  serving(deployment: KubeObject): readonly Pod[] {
    return this.of(deployment).filter(({ isReady, isEnding }) => isReady && !isEnding);
  }

  /** One step of a Deployment's controller, or of the kubelet of its pod. */
  async advance(deployment: KubeObject): Promise<void> {
    const pods = this.of(deployment);
    const [pod] = pods;
    if (pod === undefined || this.random() < 0.3) await this.observe(deployment);
    else if (pod.isEnding) this.end(pods);
    else if (!pod.isReady) {
      pod.isReady = true;
      this.readTable(pod);
      await this.observe(deployment);
    } else if (this.isTold(pod) || this.random() < 1 / UNTOLD) this.readTable(pod);
  }

  /** Pods of Deployments that are gone. */
  collect(): void {
    const left = new Set(deploymentsIn(this.cluster).map(({ metadata }) => metadata.uid));
    for (const [uid, pods] of this.pods)
      if (!left.has(uid)) {
        while (pods.length > 0) this.end(pods);
        this.pods.delete(uid);
      }
  }

  /** Pods that serve, do not listen on this line of the table, and whose annotation did not change. */
  withoutLine(line: string): readonly string[] {
    return deploymentsIn(this.cluster)
      .flatMap((deployment) => this.serving(deployment))
      .filter((pod) => !pod.table.split("\n").includes(line) && !this.isTold(pod))
      .map(({ name }) => name);
  }

  /** The status as the Deployment's controller writes it: its counts lag behind the pods until the next of its steps. */
  private async observe(deployment: KubeObject): Promise<void> {
    const pods = this.of(deployment);
    const wanted = templateOf(deployment);
    for (const pod of pods) if (pod.template !== wanted) pod.isEnding = true;
    // A pod that ends is counted for a moment more, as in the old ReplicaSet's status.
    const updatedReplicas = pods.filter(({ template }) => template === wanted).length;
    const availableReplicas = pods.filter(({ isReady }) => isReady).length;
    const { generation } = deployment.metadata;
    const status = { observedGeneration: generation, replicas: pods.length, updatedReplicas, availableReplicas };
    if (JSON.stringify(deployment["status"]) !== JSON.stringify(status))
      this.cluster.edit("kube-controller-manager", refOf(deployment), (object) => ({ ...object, status }));
    if (pods.length === 0) await this.begin(deployment);
  }

  private async begin(deployment: KubeObject): Promise<void> {
    const name = `${deployment.metadata.name}-${++this.count}`;
    const { labels } = (deployment["spec"] as Spec).template.metadata;
    const metadata = { name, namespace: "ns", labels };
    const pod = { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [{ name: "wireguard" }] } } as const;
    this.of(deployment).push({
      name,
      template: templateOf(deployment),
      isReady: false,
      isEnding: false,
      table: "",
      seen: "",
    });
    await this.cluster.create(pod, new AbortController().signal);
  }

  private end(pods: Pod[]): void {
    const pod = pods.shift();
    if (pod !== undefined) this.cluster.remove({ kind: "Pod", namespace: "ns", name: pod.name });
  }

  private readTable(pod: Pod): void {
    pod.seen = this.noteOn(pod);
    pod.table = tableContent(this.cluster)["forwards"] ?? "";
  }

  /** A change of the annotation makes a kubelet read the table soon. */
  private isTold(pod: Pod): boolean {
    return pod.seen !== this.noteOn(pod);
  }

  private noteOn({ name }: Pod): string {
    const pod = this.cluster.all().find(({ kind, metadata }) => kind === "Pod" && metadata.name === name);
    return pod?.metadata.annotations?.[TABLE_ANNOTATION] ?? "";
  }
}
