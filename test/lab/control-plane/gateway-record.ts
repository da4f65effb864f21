// Every version that a gateway's objects ever had, as the API server tells whoever watches; and whether the forward table's
// invariants (ARCHITECTURE.md) held at every instant, for every pod.
import { emptyTable, readTable, type Table } from "../../../src/core/forwards/table.ts";
import { address } from "../../../src/core/target.ts";
import type { Api, Stored } from "./api.ts";
import { GATEWAY, HOST } from "./scene.ts";
import { ENV } from "./wishes.ts";
import { eventually } from "../../wait.ts";

type Port = { readonly name: string; readonly port: number; readonly targetPort: number };
type Version<T> = { readonly revision: number; readonly content: T };

export type GatewayRecord = {
  /** One for each write that changed it, the oldest first. */
  readonly tables: readonly Version<Table>[];
  readonly services: readonly Version<readonly Port[]>[];
  readonly policies: readonly Version<readonly unknown[]>[];
  readonly deployments: readonly Stored[];
  /** Returns when the record holds what the API server has now. */
  readonly settled: () => Promise<void>;
};

const revisionOf = ({ metadata }: Stored): number => Number(metadata.resourceVersion);

/** Watches the gateway from now on. */
export const recordGateway = async (api: Api): Promise<GatewayRecord> => {
  const tables: Version<Table>[] = [];
  const services: Version<readonly Port[]>[] = [];
  const policies: Version<readonly unknown[]>[] = [];
  const deployments: Stored[] = [];
  const recorders: Readonly<Record<string, (object: Stored) => void>> = {
    [pathOf("api/v1", "configmaps", `${GATEWAY.name}-forwards`)]: (object) => {
      const text = (object["data"] as Record<string, string>)["table.json"] ?? "";
      const read = readTable(text, `revision ${object.metadata.resourceVersion}`);
      if (read.kind !== "table") throw new Error(`invariant 1: ${JSON.stringify(read)}`);
      tables.push({ revision: revisionOf(object), content: read.table });
    },
    [pathOf("api/v1", "services", GATEWAY.name)]: (object) =>
      services.push({ revision: revisionOf(object), content: specOf(object, "ports") }),
    [pathOf("apis/networking.k8s.io/v1", "networkpolicies", GATEWAY.name)]: (object) =>
      policies.push({ revision: revisionOf(object), content: specOf(object, "ingress") }),
    [pathOf("apis/apps/v1", "deployments", GATEWAY.name)]: (object) => deployments.push(object),
  };
  const last = new Map<string, string>();
  const watches = Object.entries(recorders).map(([path, recorder]) =>
    api.watch(path, (object) => {
      recorder(object);
      last.set(path, object.metadata.resourceVersion);
    }),
  );
  await Promise.all(watches);
  const isSettled = async (): Promise<true | undefined> => {
    const answers = await Promise.all(Object.keys(recorders).map((path) => api.ask("GET", path)));
    const now = answers.map(({ body }) => body.metadata.resourceVersion);
    return now.join() === [...Object.keys(recorders)].map((path) => last.get(path)).join() || undefined;
  };
  return {
    tables,
    services,
    policies,
    deployments,
    settled: () => eventually("the record is complete", 20_000, isSettled).then(() => undefined),
  };
};

const pathOf = (group: string, plural: string, name: string): string =>
  `/${group}/namespaces/${GATEWAY.namespace}/${plural}/${name}`;
const specOf = (object: Stored, field: string): readonly never[] =>
  (object["spec"] as Readonly<Record<string, readonly never[]>>)[field] ?? [];

/** What is wrong; empty when every invariant held. `pods`: as they were created. */
export const violations = (record: GatewayRecord, pods: readonly Stored[]): readonly string[] => [
  ...changedForwards(record),
  ...pods.flatMap((pod) => podProblems(record, pod)),
  ...notConverged(record),
];

type Forward = Table["forwards"][number];
const targetOf = (forward: Forward): string => address(forward.targetHost, forward.targetPort);
const byTarget = ({ forwards }: Table): ReadonlyMap<string, Forward> =>
  new Map(forwards.map((forward) => [targetOf(forward), forward]));

/** Invariants 2 and 4: what a target has been given once stays its own. (Invariant 1 is checked when a version is read.) */
const changedForwards = ({ tables }: GatewayRecord): readonly string[] =>
  tables.slice(1).flatMap(({ revision, content }, index) => {
    const now = byTarget(content);
    return (tables[index]?.content.forwards ?? [])
      .filter((forward) => JSON.stringify(now.get(targetOf(forward))) !== JSON.stringify(forward))
      .map((forward) => `invariants 2 and 4: revision ${revision} changes the forward of ${targetOf(forward)}`);
  });

/** Invariant 3, and the better half of 5: table and Service led to the pod's targets before the pod was stored. */
const podProblems = ({ tables, services }: GatewayRecord, pod: Stored): readonly string[] => {
  const { name, annotations = {}, labels = {} } = pod.metadata;
  const status = JSON.parse(annotations["flowgen.io/gateway-status"] ?? "{}") as { targets?: Record<string, string> };
  const told = Object.entries(status.targets ?? {});
  if (told.length === 0) return [`${name} was admitted without a status`];
  const before = revisionOf(pod);
  const table = byTarget(lastBefore(tables, before)?.content ?? emptyTable);
  const ports = new Map(lastBefore(services, before)?.content.map(({ port, targetPort }) => [port, targetPort]));
  return told.flatMap(([target, at]) => {
    const forward = table.get(target);
    if (forward === undefined) return [`invariant 3: ${name} was stored before the forward of ${target}`];
    const port = String(forward.servicePort);
    const { containers } = pod["spec"] as { containers: { env: { name: string; value: string }[] }[] };
    const env = new Map(containers[0]?.env.map(({ name, value }) => [name, value]));
    return [
      ...(at === `${HOST}:${port}` ? [] : [`invariant 3: ${name} was told ${at}, the table says ${port}`]),
      ...(ports.get(Number(port)) === forward.listenPort
        ? []
        : [`invariant 5: ${name} was told ${at}, which the Service did not have`]),
      ...(env.get(`${ENV}_HOST`) === HOST && env.get(`${ENV}_PORT`) === port ? [] : [`${name} is not led to ${at}`]),
      ...(labels[`target.flowgen.io/${forward.name}`] === "true" ? [] : [`${name} lacks the label of ${target}`]),
    ];
  });
};

const lastBefore = <T>(versions: readonly Version<T>[], revision: number): Version<T> | undefined =>
  versions.findLast((version) => version.revision < revision);

/** Invariant 5, once nobody disturbs: Service and NetworkPolicy are those of the table; the Deployment never saw one. */
const notConverged = ({ tables, services, policies, deployments }: GatewayRecord): readonly string[] => {
  const forwards = tables.at(-1)?.content.forwards ?? [];
  const wanted = forwards.map(({ name, servicePort, listenPort }) => `${name} ${servicePort} ${listenPort}`).sort();
  const ports = (services.at(-1)?.content ?? []).map((port) => `${port.name} ${port.port} ${port.targetPort}`).sort();
  const rules = policies.at(-1)?.content.length;
  const generation = deployments.at(-1)?.metadata.generation;
  return [
    ...(ports.join() === wanted.join() ? [] : ["invariant 5: the Service is not that of the table"]),
    ...(rules === forwards.length ? [] : [`invariant 5: ${rules} rules for ${forwards.length} forwards`]),
    ...(generation === 1 ? [] : [`the Deployment is of generation ${generation}`]),
  ];
};
