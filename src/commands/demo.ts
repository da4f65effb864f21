import { Agent, request } from "node:https";
import { readFileSync } from "node:fs";
import jsonpatch from "fast-json-patch";
import { pino } from "pino";
import { createMemoryCluster } from "../cluster/memory.ts";
import { loadScripts } from "../cluster/scripts.ts";
import { readTable } from "../core/forwards.ts";
import type { PatchOperation } from "../core/patch.ts";
import type { Pod } from "../core/pod.ts";
import { address } from "../core/target.ts";
import { annotation } from "../core/words.ts";
import { makeServingCertificate } from "../server/certificate.ts";
import { run } from "../server/run.ts";
import { readTls } from "../server/tls.ts";
import { aligned } from "./audit.ts";
import type { Output } from "./inject.ts";
import { parseConfig, version } from "./options.ts";
import { readStream, type Workload } from "./stream.ts";

type Answer = {
  readonly allowed: boolean;
  readonly patch?: string;
  readonly warnings?: readonly string[];
  readonly status?: { readonly code: number; readonly message: string };
};
type Story = {
  readonly title: string;
  readonly workload: Workload;
  readonly replicas: number;
  readonly expected: "patched" | "denied" | "untouched";
};

/**
 * `demo`: the real server with a certificate of its own, a cluster in memory, and the AdmissionReviews that an API server would
 * send for the example workloads. Returns the exit code: 0 only if every answer and the gateway's table are as they should be.
 */
export const demo = async ({ out }: Output): Promise<0 | 1> => {
  const started = performance.now();
  const config = parseConfig(example("webhook-config.yaml"), "webhook-config.yaml");
  const certificate = await makeServingCertificate(["localhost", "127.0.0.1"], 1, new Date());
  const cluster = createMemoryCluster();
  const server = await run({
    cluster,
    config,
    scripts: loadScripts(),
    version: version(),
    log: pino({ level: "silent" }),
    host: "127.0.0.1",
    port: 0,
    metricsPort: 0,
    tls: readTls(certificate.cert, certificate.key),
    drainSeconds: 0,
  });
  const agent = new Agent({ ca: certificate.ca, keepAlive: true });
  const failures: string[] = [];
  out(`The webhook serves at ${server.url}, on a Kubernetes in memory.\n`);
  try {
    for (const story of stories()) {
      out(`\n== ${story.title}\n`);
      for (let replica = 1; replica <= story.replicas; replica += 1) {
        const answer = await review(server.url, agent, story.workload, `${story.workload.name}-${replica}`);
        out(tell(story, replica, answer));
        if (verdict(answer) !== story.expected)
          failures.push(`${story.title}: expected ${story.expected}, was ${verdict(answer)}`);
      }
    }
    const table = await cluster.get(
      { kind: "ConfigMap", namespace: "flowgen-gateway", name: "flowgen-wireguard-gateway-forwards" },
      agentSignal(),
    );
    const lines = tableLines(((table?.["data"] ?? {}) as Record<string, string>)["table.json"] ?? "");
    out(
      `\n== The gateway\n${cluster
        .all()
        .map((object) => `${object.kind} ${object.metadata.namespace}/${object.metadata.name ?? ""}`)
        .sort()
        .join("\n")}\n`,
    );
    out(`\n== Its forward table\n${lines.join("\n")}\n`);
    const ports = lines.slice(1).map((line) => line.split(/\s+/).slice(0, 3).join(" "));
    const wanted = ["mssql 1433 1433", "postgres 5432 5432", "warehouse 1434 1434"];
    if (ports.join() !== wanted.join())
      failures.push(`the forward table: expected ${wanted.join(", ")}, was ${ports.join(", ")}`);
  } finally {
    agent.destroy();
    await server.stop();
  }
  out(
    `\n${failures.length === 0 ? "All as it should be" : `Not as it should be:\n  ${failures.join("\n  ")}`} (${Math.round(performance.now() - started)} ms)\n`,
  );
  return failures.length === 0 ? 0 : 1;
};

const example = (name: string): string => readFileSync(new URL(`../../examples/${name}`, import.meta.url), "utf8");
const agentSignal = (): AbortSignal => AbortSignal.timeout(5000);

const stories = (): readonly Story[] => {
  const { workloads } = readStream(example("flowgen-deployments.yaml"), "flowgen-deployments.yaml", "default");
  const [first, sharing, refused, careful] = workloads;
  if (first === undefined || sharing === undefined || refused === undefined || careful === undefined)
    throw new Error("examples/flowgen-deployments.yaml lacks a workload");
  return [
    {
      title: "A Deployment of 3 replicas asks for two private servers",
      workload: first,
      replicas: 3,
      expected: "patched",
    },
    {
      title: "A second one shares a server, and adds another on the same port",
      workload: sharing,
      replicas: 1,
      expected: "patched",
    },
    { title: "A third asks for what nobody may have", workload: refused, replicas: 1, expected: "denied" },
    { title: "A fourth is in audit mode", workload: careful, replicas: 1, expected: "untouched" },
  ];
};

const verdict = ({ allowed, patch }: Answer): Story["expected"] =>
  allowed ? (patch === undefined ? "untouched" : "patched") : "denied";

/** Sends what kube-apiserver sends when a ReplicaSet makes a pod. */
const review = (url: string, agent: Agent, { pod, namespace, name }: Workload, uid: string): Promise<Answer> => {
  const body = JSON.stringify({
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid,
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      namespace,
      operation: "CREATE",
      userInfo: { username: "system:serviceaccount:kube-system:replicaset-controller" },
      object: {
        apiVersion: "v1",
        kind: "Pod",
        ...pod,
        metadata: { ...pod.metadata, generateName: `${name}-`, namespace },
      },
      oldObject: null,
      dryRun: false,
    },
  });
  return new Promise((resolve, reject) => {
    const call = request(
      `${url}/mutate?timeout=10s`,
      { method: "POST", agent, headers: { "content-type": "application/json" } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          resolve((JSON.parse(Buffer.concat(chunks).toString()) as { response: Answer }).response);
        });
      },
    );
    call.on("error", reject);
    call.end(body);
  });
};

const tell = ({ workload }: Story, replica: number, answer: Answer): string => {
  const head = `pod ${replica} of ${workload.namespace}/${workload.name}: ${verdict(answer)}\n`;
  if (replica > 1) return head;
  const { pod } = workload;
  const patched = answer.patch === undefined ? undefined : patchedPod(pod, answer.patch);
  const lines =
    patched === undefined
      ? []
      : [
          ...aligned(envRows(pod, patched)),
          `  ${annotation.status}: ${patched.metadata.annotations?.[annotation.status] ?? ""}`,
        ];
  return (
    [
      head.trimEnd(),
      ...(answer.status ? [`  ${answer.status.code}: ${answer.status.message}`] : []),
      ...(answer.warnings ?? []).map((warning) => `  warning: ${warning}`),
      ...lines,
    ].join("\n") + "\n"
  );
};

const patchedPod = (pod: Pod, patch: string): Pod => {
  const operations = JSON.parse(Buffer.from(patch, "base64").toString()) as PatchOperation[];
  return jsonpatch.applyPatch(structuredClone(pod), operations).newDocument;
};

const envRows = (before: Pod, after: Pod): string[][] =>
  after.spec.containers.flatMap((container, index) =>
    (container.env ?? []).map((item) => {
      const old = (before.spec.containers[index])?.env?.find(
        (other) => other.name === item.name,
      );
      const shown = (value: string | undefined): string =>
        value === undefined ? "(from elsewhere)" : value.replace(/(:\/\/[^:@/]*:|Password=)[^@;]*/i, "$1***");
      return [`  ${item.name}`, old === undefined ? "(absent)" : shown(old.value), "→", shown(item.value)];
    }),
  );

const tableLines = (json: string): readonly string[] => {
  const read = readTable(json, "table.json");
  if (read.kind === "reject") return [read.message];
  const rows = read.table.forwards.map((item) => [
    item.name,
    String(item.servicePort),
    String(item.listenPort),
    item.tunnel,
    address(item.targetHost, item.targetPort),
  ]);
  return aligned([["FORWARD", "SERVICE PORT", "LISTEN PORT", "TUNNEL", "TARGET"], ...rows]);
};
