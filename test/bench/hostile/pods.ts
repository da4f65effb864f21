/** Reviews that cost more than they look: each is made at a size of 1, 2 and 4 times what first stopped the webhook. */
import { reviewOf } from "../../lab/control-plane/mutate.ts";
import { flowgenPod, targets } from "../../lab/control-plane/scene.ts";

type Env = readonly { readonly name: string; readonly value: string }[];

export const list = <Item>(length: number, make: (at: number) => Item): Item[] =>
  Array.from({ length }, (_, at) => make(at));
export const fill = (piece: string, size: number): string =>
  piece.repeat(Math.ceil(size / piece.length)).slice(0, size);

/** The review of a pod with this annotation and one container for each list of env. */
export const podReview = (text: string, containers: readonly Env[], name = "hostile"): string => {
  const pod = flowgenPod("default", name, targets(text));
  const [container] = pod.spec.containers;
  return reviewOf({
    ...pod,
    spec: {
      containers: containers.map((env, at) => ({ ...container, name: `c${at}`, ...(env.length > 0 && { env }) })),
    },
  });
};

const ONE = "sql=10.0.0.5:1433";
const shortTargets = (count: number): string => list(count, (at) => `t${at}=10.0.${at >> 8}.${at & 255}:1`).join();
const longEntry = (at: number, names: number, count: number): string =>
  `- {name: t${at}, targetHost: 10.1.0.${at}, targetPort: 1, hostEnv: [${list(names, (name) => `E${at * count + name}`).join()}]}`;
const empty = (count: number): Env[] => list(count, () => []);
const doubling = (count: number): Env => [
  ...list(11, (at) => ({ name: `D${at}`, value: at === 0 ? "10.0.0.5," : `$(D${at - 1})$(D${at - 1})` })),
  { name: "ALL", value: "$(D10)".repeat(count) },
];
/** Each of the env that refer to it gives every host of the first another reading. */
const referred = (hosts: number, references: number): Env => [
  { name: "ALL", value: "10.0.0.5:1433,".repeat(hosts) },
  ...list(references, (at) => ({ name: `R${at}`, value: "$(ALL)" })),
];

/** Inputs of a pod's author, by name: a function of the size to its reviews, all sent at once. */
export const PODS: Readonly<Record<string, (times: number) => readonly string[]>> = {
  "32 named env of 75 targets, in 50 containers": (times) => [
    podReview(list(75, (at) => longEntry(at, 16, 16)).join("\n"), empty(50 * times)),
  ],
  "128 targets in 50 empty containers": (times) => [podReview(shortTargets(128), empty(50 * times))],
  "ten pods of 128 targets in 200 containers": (times) =>
    list(10 * times, (at) => podReview(shortTargets(128), empty(200), `p${at}`)),
  "a wrong port in 500 containers": (times) => [
    podReview(
      ONE,
      list(500 * times, () => [{ name: "DB_HOST", value: "10.0.0.5:1434" }]),
    ),
  ],
  "20,000 references to a value of 16 kB": (times) => [
    podReview(ONE, [
      [
        { name: "BASE", value: `${fill("x", 16_000)} 10.0.0.5` },
        ...list(20_000 * times, (at) => ({ name: `R${at}`, value: "$(BASE)" })),
      ],
    ]),
  ],
  "references to a list of 600 hosts": (times) => [podReview(ONE, [referred(600, 300 * times)])],
  "the same in 4 containers": (times) => [
    podReview(
      ONE,
      list(4 * times, () => referred(600, 300)),
    ),
  ],
  "128 targets that no env leads to": (times) => [
    podReview(shortTargets(128), [list(4000 * times, (at) => ({ name: `U${at}`, value: `x$(T${at % 128}_HOST)10.` }))]),
  ],
  "128 targets, one found in each look": (times) => [
    podReview(shortTargets(32 * times), [
      list(32 * times, (at) => ({ name: `U${at}`, value: `$(T${at}_HOST) 10.0.0.${at + 1}:1` })),
    ]),
  ],
  "values that double ten times": (times) => [podReview(ONE, [doubling(15 * times)])],
  "150,000 names in keep-env, beside 10,000 env": (times) => [
    reviewOf({
      ...flowgenPod("default", "keeps", { ...targets(ONE), "flowgen.io/keep-env": fill("ABC,", 600_000 * times) }),
      spec: { containers: [{ name: "c", env: list(10_000, (at) => ({ name: `N${at}`, value: "10.0.0.5" })) }] },
    }),
  ],
  "8,000 env of one name": (times) => [
    podReview(ONE, [list(8000 * times, (at) => ({ name: "A", value: `10.0.0.5 ${at}` }))]),
  ],
  "a,a,a in eight env of 16 kB": (times) => [
    podReview(ONE, [list(8 * times, (at) => ({ name: `A${at}`, value: `${fill("a,", 16_000)}10.0.0.5:1433` }))]),
  ],
  "0.7 MB of tiny env that hold nothing": (times) => [
    podReview(ONE, [list(25_000 * times, (at) => ({ name: `N${at}`, value: "1.5" }))]),
  ],
  "0.7 MB of empty containers": (times) => [podReview(ONE, empty(2000 * times))],
  "args that hold the host": (times) => [
    reviewOf({
      ...flowgenPod("default", "args", targets(ONE)),
      spec: { containers: [{ name: "c", args: list(10_000 * times, (at) => `--at${at}=10.0.0.5`) }] },
    }),
  ],
  "10,000 hostAliases": (times) => [
    reviewOf({
      ...flowgenPod("default", "aliases", targets(ONE)),
      spec: {
        containers: [{ name: "c", env: [{ name: "A", value: "erp7:1433 10.0.0.5" }] }],
        hostAliases: list(10_000 * times, (at) => ({ ip: "10.0.0.5", hostnames: [`erp${at}`] })),
      },
    }),
  ],
  "forged labels": (times) => [
    reviewOf({
      ...flowgenPod("default", "labels", targets(ONE)),
      metadata: { labels: Object.fromEntries(list(10_000 * times, (at) => [`target.flowgen.io/l${at}`, "true"])) },
    }),
  ],
  "a status of nothing but brackets": (times) => [
    reviewOf({
      ...flowgenPod("default", "status", {
        ...targets(ONE),
        "flowgen.io/gateway-status": `${fill("[", 350_000 * times)}${fill("]", 350_000 * times)}`,
      }),
      spec: { containers: [{ name: "c", env: [{ name: "A", value: "10.0.0.5:1433" }] }] },
    }),
  ],
  "YAML of nothing but brackets": (times) => [podReview(`[${fill("{},[],", 4000 * times - 10)}{}]`, [[]])],
  "YAML of unknown keys": (times) => [
    podReview(`- {${list(300 * times, (at) => `unknown${at}: 1`).join(", ")}}`, [[]]),
  ],
  "400 pods, no two alike": (times) =>
    list(400 * times, (at) =>
      podReview(ONE, [[{ name: "URL", value: `postgres://u:p@10.0.0.5:1433/db${at}` }]], `p${at}`),
    ),
  "100 pods of 20 kB, no two alike": (times) =>
    list(100 * times, (at) => podReview(ONE, [[{ name: "URL", value: `${fill("x ", 20_000)}10.0.0.5:1433/db${at}` }]])),
};

/** The review of a workload, as the warning webhook is asked. */
const workloadReview = (object: object): string =>
  JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: { uid: "hostile", namespace: "default", object },
  });
const deployment = (text: string, env: Env, annotations: object = {}): string => {
  const pod = flowgenPod("default", "hostile", targets(text));
  const [container] = pod.spec.containers;
  const template = { metadata: pod.metadata, spec: { containers: [{ ...container, env }] } };
  return workloadReview({ apiVersion: "apps/v1", kind: "Deployment", metadata: { annotations }, spec: { template } });
};
const nested = (levels: number): object => (levels === 0 ? {} : { spec: nested(levels - 1), template: [{}] });

/** Inputs of a workload's author. */
export const WORKLOADS: Readonly<Record<string, (times: number) => readonly string[]>> = {
  "300 names that no container has": (times) => [
    deployment(
      list(75, (at) => longEntry(at, 4, 4)).join("\n"),
      list(10_000 * times, (at) => ({ name: `A${at}`, value: `10.1.0.${at % 75}` })),
    ),
  ],
  "the same, and env of 16 kB": (times) => [
    deployment(
      list(75, (at) => longEntry(at, 4, 4)).join("\n"),
      list(40 * times, (at) => ({ name: `A${at}`, value: fill("x.", 16_000) })),
    ),
  ],
  "20,000 annotations that are almost ours": (times) => [
    deployment(ONE, [], Object.fromEntries(list(20_000 * times, (at) => [`flowgen.io/private-targ${at}`, ""]))),
  ],
  "20,000 objects of another kind's": (times) => [
    workloadReview({
      apiVersion: "example.com/v1",
      kind: "Other",
      metadata: {},
      items: list(2000 * times, () => nested(7)),
    }),
  ],
};

/** Stretches of text, of which one env holds as much as a review can, or as many env as fit. */
export const PIECES = [
  "10.0.0.5,", "a,", ",", "[", ":", "::", "fd00::5,", "(", "(HOST=", "(HOST=10.0.0.5)(PORT=1433)", "$(", "$(A)", "$$", "@", "://", "a://",
  "a://10.0.0.5,", "postgres://10.0.0.5,", "?host=10.0.0.5&", "=", ";", "a=b;", "Server=10.0.0.5;", "Server='", "''", "host=10.0.0.5 ", "host='\\' ",
  " ", "\n", "tcp(", "tcp(10.0.0.5)", "jdbc:oracle:thin:@10.0.0.5:1:", "jdbc:sqlserver://10.0.0.5;portNumber=1;", "ssl=true,", "10.0.0.5 ",
  "a://x?,b://", "%2F", "\\n", "password=", "10.0.0.5:1433 ", "mssql://10.0.0.5:1433/ ", "sql.corp.example.com ",
]; // prettier-ignore

export const inOneEnv = (piece: string, bytes: number): string =>
  podReview(`${ONE},a=[fd00::5]:1,b=sql.corp.example.com:1`, [
    [{ name: "A", value: `${fill(piece, bytes)}10.0.0.5:1433` }],
  ]);
export const inManyEnv = (piece: string, bytes: number): string =>
  podReview(`${ONE},a=[fd00::5]:1,b=sql.corp.example.com:1`, [
    list(Math.floor(bytes / 16_000), (at) => ({ name: `A${at}`, value: `${fill(piece, 15_900)}10.0.0.5:1433` })),
  ]);
