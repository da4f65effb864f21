// Every version of a gateway's objects, by watches of the API server. From them follows whether the forward table's
// invariants (ARCHITECTURE.md) held at every instant, for every pod.
import { readTable } from "../../../src/core/forwards/format.ts";
import { emptyTable, type Table } from "../../../src/core/forwards/table.ts";
import { address } from "../../../src/core/target.ts";
import type { Api, ApiObject } from "./api.ts";
import { GATEWAY } from "./scene.ts";
import { ENV } from "./wishes.ts";
import { eventually } from "../../wait.ts";

type Port = { readonly name: string; readonly port: number; readonly targetPort: number };
type ServiceSpec = { readonly ports: readonly Port[]; readonly clusterIPs: readonly string[] };
type Version<T> = { readonly revision: number; readonly content: T };

export type GatewayRecord = {
  /** One for each write that changed it, the oldest first. */
  readonly tables: readonly Version<Table>[];
  /** The gateway's own Service and those of hosts' own, by name. */
  readonly services: ReadonlyMap<string, readonly Version<ServiceSpec>[]>;
  /** The rules for forwards, by the name of their policy. */
  readonly policies: ReadonlyMap<string, readonly unknown[]>;
  readonly deployments: readonly ApiObject[];
  /** Returns when the record holds what the API server has now. */
  readonly settled: () => Promise<void>;
};

const revisionOf = ({ metadata }: ApiObject): number => Number(metadata.resourceVersion);

/** Watches the gateway from now on. */
export const recordGateway = async (api: Api): Promise<GatewayRecord> => {
  const tables: Version<Table>[] = [];
  const services = new Map<string, Version<ServiceSpec>[]>();
  const policies = new Map<string, readonly unknown[]>();
  const deployments: ApiObject[] = [];
  const recorders: Readonly<Record<string, (object: ApiObject) => void>> = {
    [pathOf("api/v1", "configmaps", `${GATEWAY.name}-forwards`)]: (object) => {
      const text = (object["data"] as Record<string, string>)["table.json"] ?? "";
      const read = readTable(text, `revision ${object.metadata.resourceVersion}`);
      if (read.kind !== "table") throw new Error(`invariant 1: ${JSON.stringify(read)}`);
      tables.push({ revision: revisionOf(object), content: read.table });
    },
    [pathOf("api/v1", "services", "")]: (object) => {
      const { name } = object.metadata;
      const versions = services.get(name) ?? [];
      services.set(name, versions);
      versions.push({ revision: revisionOf(object), content: object["spec"] as ServiceSpec });
    },
    [pathOf("apis/networking.k8s.io/v1", "networkpolicies", "")]: (object) => {
      const rules = specOf(object, "ingress");
      // The last one of the first policy is of the metrics.
      policies.set(object.metadata.name, object.metadata.name === GATEWAY.name ? rules.slice(0, -1) : rules);
    },
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
    const single = Object.keys(recorders).filter((path) => !path.endsWith("/"));
    const answers = await Promise.all(single.map((path) => api.ask("GET", path)));
    const now = answers.map(({ body }) => body.metadata.resourceVersion);
    return now.join() === single.map((path) => last.get(path)).join() || undefined;
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
const specOf = (object: ApiObject, field: string): readonly never[] =>
  (object["spec"] as Readonly<Record<string, readonly never[]>>)[field] ?? [];

/** The violations; empty when every invariant held. `pods`: as they were created. */
export const violations = (record: GatewayRecord, pods: readonly ApiObject[]): readonly string[] => [
  ...changedForwards(record),
  ...pods.flatMap((pod) => podProblems(record, pod)),
  ...notConverged(record),
];

type Forward = Table["forwards"][number];
const targetOf = (forward: Forward): string => address(forward.targetHost, forward.targetPort);
const byTarget = ({ forwards }: Table): ReadonlyMap<string, Forward> =>
  new Map(forwards.map((forward) => [targetOf(forward), forward]));

/**
 * Invariants 2 and 4: what a target has been given once stays its own. (Invariant 1 is checked when a version is read.)
 */
const changedForwards = ({ tables }: GatewayRecord): readonly string[] =>
  tables.slice(1).flatMap(({ revision, content }, index) => {
    const now = byTarget(content);
    return (tables[index]?.content.forwards ?? [])
      .filter((forward) => JSON.stringify(now.get(targetOf(forward))) !== JSON.stringify(forward))
      .map((forward) => `invariants 2 and 4: revision ${revision} changes the forward of ${targetOf(forward)}`);
  });

/** `ips`: of a target whose names the pod's hostAliases map. */
type StatusTarget = { readonly target: string; readonly address: string; readonly ips?: readonly string[] };

/** Invariant 3, and the better half of 5: table and Service had the pod's targets before the pod was stored. */
const podProblems = ({ tables, services }: GatewayRecord, pod: ApiObject): readonly string[] => {
  const { name, annotations = {}, labels = {} } = pod.metadata;
  const status = JSON.parse(annotations["flowgen.io/gateway-status"] ?? "{}") as {
    targets?: Record<string, StatusTarget>;
  };
  const given = Object.values(status.targets ?? {});
  if (given.length === 0) return [`${name} was admitted without a status`];
  const before = revisionOf(pod);
  const table = lastBefore(tables, before)?.content ?? emptyTable;
  return given.flatMap(({ target, address: at, ips }) => {
    const forward = byTarget(table).get(target);
    if (forward === undefined) return [`invariant 3: ${name} was stored before the forward of ${target}`];
    const [host = "", port = ""] = at.split(":");
    const service = lastBefore(services.get(host.split(".")[0] ?? "") ?? [], before)?.content;
    const offered = service?.ports.find((each) => each.port === Number(port));
    const recorded = table.services.find((each) => host.startsWith(`${each.name}.`))?.clusterIPs;
    const { containers } = pod["spec"] as { containers: { env: { name: string; value: string }[] }[] };
    const env = new Map(containers[0]?.env.map((each) => [each.name, each.value]));
    return [
      ...(port === String(forward.targetPort) ? [] : [`invariant 3: ${name} was given ${at} for ${target}`]),
      ...(offered?.targetPort === forward.listenPort
        ? []
        : [`invariant 5: ${name} was given ${at}, which the Service lacked`]),
      ...(recorded === undefined ||
      (recorded.length === 0 && ips === undefined) ||
      recorded.join() === service?.clusterIPs.join()
        ? []
        : [`invariant 3: the table did not have the addresses of ${host}`]),
      ...(env.get(`${ENV}_HOST`) === host && env.get(`${ENV}_PORT`) === port ? [] : [`${name} is not led to ${at}`]),
      ...(labels[`target.flowgen.io/${forward.name}`] === "true" ? [] : [`${name} lacks the label of ${target}`]),
    ];
  });
};

const lastBefore = <T>(versions: readonly Version<T>[], revision: number): Version<T> | undefined =>
  versions.findLast((version) => version.revision < revision);

/**
 * Invariant 5, once no process is disturbed: Services and NetworkPolicy are those of the table; the Deployment never
 * saw one.
 */
const notConverged = ({ tables, services, policies, deployments }: GatewayRecord): readonly string[] => {
  const { forwards, services: own } = tables.at(-1)?.content ?? emptyTable;
  const wanted = forwards.flatMap(({ name, tunnel, targetHost, targetPort, servicePort, listenPort }) => [
    ...(servicePort === undefined ? [] : [`${GATEWAY.name} ${name} ${servicePort} ${listenPort}`]),
    ...own
      .filter((service) => service.tunnel === tunnel && service.host === targetHost)
      .map((service) => `${service.name} ${name} ${targetPort} ${listenPort}`),
  ]);
  const found = [...services].flatMap(([service, versions]) =>
    (versions.at(-1)?.content.ports ?? []).map(
      ({ name, port, targetPort }) => `${service} ${name} ${port} ${targetPort}`,
    ),
  );
  const rules = [...policies.values()].reduce((sum, { length }) => sum + length, 0);
  const generation = deployments.at(-1)?.metadata.generation;
  return [
    ...(found.sort().join() === wanted.sort().join() ? [] : ["invariant 5: the Services are not those of the table"]),
    ...(rules === forwards.length ? [] : [`invariant 5: ${rules} rules for ${forwards.length} forwards`]),
    ...(generation === 1 ? [] : [`the Deployment is of generation ${generation}`]),
  ];
};
