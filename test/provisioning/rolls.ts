/**
 * A schedule (gate.ts) of gateways with several identities. Processes of one config or of two change their Deployments and admit pods, while
 * controllers and kubelets go on at their own pace (kubelets.ts).
 *
 * After every step: no Deployment was changed or removed while it served and no other pod served. The Services have
 * each forward that an answer named. Where no call failed, each pod that serves listens on it, or its annotation has
 * changed, once the calls of that time have ended. After such a change the kubelet reads the table within a second.
 * After the end: the gateway is as the config has it, and each pod listens on what the Services offer.
 */
import { type Cluster, ClusterError, type KubeObject, refOf } from "../../src/cluster/cluster.ts";
import { createMemoryCluster, type MemoryCluster } from "../../src/emulator/memory.ts";
import type { Provisioned } from "../../src/provisioning/attempt.ts";
import type { Want } from "../../src/core/target.ts";
import type { Config } from "../../src/core/config/config.ts";
import { gatewayPlaceOf } from "../../src/core/config/siblings.ts";
import { createProvisioning, type Provisioning } from "../../src/provisioning/provisioner.ts";
import { ROLL_LABEL } from "../../src/core/names.ts";
import { rollNoteOf } from "../../src/core/gateway/roll.ts";
import { configOf, gatewayOf, scripts, seeded, wantOf } from "../making.ts";
import { behind, fateOf, Gate, play, quiet } from "./gate.ts";
import { tableContent, deploymentsIn, Kubelets, templateOf } from "./kubelets.ts";
import { checkInvariants, type Handed, type Played, record } from "./schedule.ts";

const configWith = (secrets: string, more = ""): Config =>
  configOf(`
${more}
gateways:
  - name: gw
    namespace: ns
    podAnnotations: {note: "${more}"}
    tunnels: [{name: wg0, secretNames: [${secrets}], allowedTargets: [10.0.0.0/8]}]
`);
/** A change from the first config to the second, while both are in use. */
const CHANGES = [
  [configWith("a, b"), configWith("a, b", "revision: 2")],
  [configWith("a, b"), configWith("b, a", "revision: 2")],
  [configWith("a"), configWith("a, b", "revision: 2")],
  [configWith("a, b"), configWith("a", "revision: 2")],
  [configWith("a, b"), configWith("b", "revision: 2")],
  [configWith("a, b, c"), configWith("c, d, b", "revision: 2")],
  [configWith("a, b"), configWith("c, d", "revision: 2")],
] as const;

/** Calls `wrong` for a change of a Deployment that served while no other one serves. */
const watchRolls = (cluster: MemoryCluster, pods: Kubelets, wrong: (error: Error) => void): Cluster => {
  const changing = async <T>(object: KubeObject, call: () => Promise<T>): Promise<T> => {
    const before = deploymentsIn(cluster).find(({ metadata }) => metadata.name === object.metadata.name);
    const result = await call();
    if (object.kind !== "Deployment" || before === undefined) return result;
    const after = deploymentsIn(cluster).find(({ metadata }) => metadata.uid === before.metadata.uid);
    if (after !== undefined && templateOf(after) === templateOf(before)) return result;
    const siblings = deploymentsIn(cluster).filter(
      (each) => each.metadata.uid !== before.metadata.uid && gatewayPlaceOf(each).name === "gw",
    );
    // One whose template is another by now is about to end.
    const serves = (each: KubeObject): boolean =>
      pods.serving(each).some(({ template }) => template === templateOf(each));
    // A gateway with one identity is changed at once.
    const isAlone = after !== undefined && siblings.length === 0;
    // A user may edit a Deployment between the note and the change.
    const isSurprised = siblings.some(
      ({ metadata: { uid = "", labels } }) => pods.edited.has(uid) && labels?.[ROLL_LABEL] === rollNoteOf(before),
    );
    if (!isAlone && serves(before) && !siblings.some(serves) && !isSurprised)
      wrong(new Error(`${after ? "changed" : "removed"} ${before.metadata.name} while no other pod is available`));
    return result;
  };
  return {
    ...cluster,
    apply: async (object, signal, manager) => {
      const applied = await changing(object, () => cluster.apply(object, signal, manager));
      // A note on an object that was edited after the read is refused.
      if (manager !== undefined) pods.edited.delete(applied.metadata.uid ?? "");
      return applied;
    },
    update: (object, signal) => changing(object, () => cluster.update(object, signal)),
    delete: (object, signal) => changing(object, () => cluster.delete(object, signal)),
  };
};

const edit = (cluster: MemoryCluster, deployment: KubeObject, isTemplate: boolean): void => {
  type Whole = { readonly template: { readonly spec: object } };
  cluster.edit("kubectl", refOf(deployment), (object) => {
    const spec = object["spec"] as Whole;
    const { generation = 0, annotations } = object.metadata;
    const template = { ...spec.template, spec: { ...spec.template.spec, terminationGracePeriodSeconds: generation } };
    return isTemplate
      ? { ...object, spec: { ...spec, template } }
      : { ...object, metadata: { ...object.metadata, annotations: { ...annotations, seen: String(generation) } } };
  });
};

const checkEnd = (cluster: MemoryCluster, pods: Kubelets, config: Config): void => {
  const { secretNames } = gatewayOf(config).tunnels[0] as { readonly secretNames: readonly string[] };
  const deployments = deploymentsIn(cluster);
  const secretOf = (deployment: KubeObject): string => /"secretName":"(\w+)"/.exec(templateOf(deployment))?.[1] ?? "";
  const found = deployments.map(secretOf).sort().join();
  if (found !== [...secretNames].sort().join()) throw new Error(`the Deployments hold ${found}`);
  for (const deployment of deployments) {
    if (!templateOf(deployment).includes(String(gatewayOf(config).podAnnotations["note"])))
      throw new Error(`${deployment.metadata.name} is of the former config`);
    if (pods.serving(deployment).length === 0) throw new Error(`${deployment.metadata.name} has no pod`);
    const { forwards } = tableContent(cluster);
    for (const { table } of pods.of(deployment))
      if (table !== forwards) throw new Error(`a pod of ${deployment.metadata.name} does not listen on ${forwards}`);
  }
  const names = deployments.map(({ metadata }) => `${metadata.name}\n`).join("");
  if ((tableContent(cluster)["siblings"] ?? "gw\n") !== names)
    throw new Error(`siblings: ${tableContent(cluster)["siblings"]}`);
  const isThere = (kind: string, name: string): boolean =>
    cluster.all().some((object) => object.kind === kind && object.metadata.name === name);
  const isSeveral = secretNames.length > 1;
  if (isThere("Service", "gw-pods") !== isSeveral || isThere("PodDisruptionBudget", "gw") !== isSeveral)
    throw new Error("the headless Service or the disruption budget is not as the config has it");
};

/** Calls that have begun and not ended. */
class UnderWay {
  private readonly works = new Set<Promise<unknown>>();
  async during(work: Promise<unknown>): Promise<void> {
    this.works.add(work);
    await work;
    this.works.delete(work);
  }
  /** Ends with the last of the calls that are under way now. */
  async ended(): Promise<void> {
    await Promise.all(this.works);
  }
}

/** The line of the forward table, as the pods read it. */
const lineTo = (cluster: MemoryCluster, host: string, port: number): string => {
  const { forwards = "" } = tableContent(cluster);
  return forwards.split("\n").find((line) => line.includes(` ${host} ${port} `)) ?? `none to ${host}`;
};

/** Plays the schedule of a seed. Throws what does not hold. */
export const playRolls = async (seed: number): Promise<Played> => {
  const random = seeded(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  let clock = 0;
  const cluster = createMemoryCluster({ now: () => clock });
  const gate = new Gate();
  const pods = new Kubelets(cluster, random);
  const errors: Error[] = [];
  const { signal } = new AbortController();
  const [former, next] = pick(CHANGES);
  const provisioningOf = (through: Cluster, pause: () => Promise<void>): Provisioning =>
    createProvisioning(through, { scripts, now: () => (clock += 40), random, pause });
  const noPause = (): Promise<void> => Promise.resolve();
  const settle = async (config: Config, provisioning: Provisioning): Promise<void> => {
    for (let round = 0; round < 40; round += 1) {
      clock += 2000;
      const [failed] = await provisioning.repair(config, round === 0 ? "config" : "drift", () => signal);
      if (failed !== undefined) throw failed.why instanceof Error ? failed.why : new Error(JSON.stringify(failed.why));
      for (let times = 0; times < 6; times += 1)
        for (const deployment of deploymentsIn(cluster)) await pods.advance(deployment);
      pods.collect();
    }
  };
  const watched = watchRolls(cluster, pods, (error) => errors.push(error));
  // The gateway of the former config serves.
  const first = provisioningOf(cluster, noPause);
  await first.provision({
    config: former,
    gateway: gatewayOf(former),
    wants: [wantOf("a", "10.0.0.1", 1433)],
    write: true,
    signal: () => signal,
  });
  await settle(former, first);
  checkEnd(cluster, pods, former);

  const faults = pick([0, 0.02, 0.1]);
  const handed: Handed = new Map();
  const underWay = new UnderWay();
  const tell = (told: Provisioned, { target }: Want): void => {
    record(handed, told, true);
    if (told.kind !== "assigned" || faults > 0) return;
    const line = lineTo(cluster, target.host, target.port);
    void underWay.ended().then(() => {
      const [deaf] = pods.withoutLine(line);
      if (deaf !== undefined) errors.push(new Error(`${deaf} neither listens on ${line} nor has a changed annotation`));
    });
  };
  const replicas = 2 + Math.floor(random() * 2);
  const start = (replica: number): void => {
    const provisioning = provisioningOf(behind(watched, gate, replica), () =>
      gate.hold(replica, false).catch(() => undefined),
    );
    const config = random() < 0.75 ? next : former;
    const looks = Array.from({ length: 6 }, (_, at) => at);
    void looks.reduce(async (before, at) => {
      await before;
      await gate.hold(replica, false).catch(() => undefined);
      const admission = random() < 0.3;
      const want = wantOf(`t${at}`, `10.0.0.${at + 2}`, 2000 + at);
      const asked = { config, gateway: gatewayOf(config), wants: [want], write: true, signal: () => signal };
      const work = admission
        ? provisioning.provision(asked).then((told) => tell(told, want))
        : provisioning.repair(config, at === 0 ? "config" : "drift", () => signal);
      await underWay.during(
        work.catch((error: unknown) => {
          if (!(error instanceof ClusterError)) errors.push(error as Error);
        }),
      );
    }, Promise.resolve());
  };
  for (let replica = 0; replica < replicas; replica += 1) start(replica);
  let [steps, crashes] = [0, 0];
  await quiet();
  for (; gate.waiting.length > 0; steps += 1) {
    if (steps > 20_000) throw new Error("it does not end");
    const [step] = gate.waiting.splice(Math.floor(random() * gate.waiting.length), 1);
    const dead = gate.dead.size;
    if (step !== undefined) play(gate, step, fateOf(random, faults), replicas - gate.dead.size + crashes);
    if (gate.dead.size > dead && crashes < 4) {
      crashes += 1;
      start(replicas + crashes); // a process that knows nothing of what the dead one did
    }
    await quiet();
    if (random() < 0.3) {
      const deployment = pick(deploymentsIn(cluster));
      await pods.advance(deployment);
      pods.collect();
    }
    // A user edits a Deployment, which ends its pod, or a note on it, which ends none.
    const edited = random() < 0.02 ? pick(deploymentsIn(cluster)) : undefined;
    const isTemplate = random() < 0.5;
    if (edited !== undefined) edit(cluster, edited, isTemplate);
    if (edited !== undefined && isTemplate) pods.edited.add(edited.metadata.uid ?? "");
    if (errors[0] !== undefined) throw errors[0];
    checkInvariants(cluster, handed, new Set());
  }
  await settle(next, provisioningOf(watched, noPause));
  if (errors[0] !== undefined) throw errors[0];
  checkEnd(cluster, pods, next);
  return { steps, crashes };
};
