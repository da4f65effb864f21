import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { json } from "node:stream/consumers";
import jsonpatch from "fast-json-patch";
import { pino } from "pino";
import { createMemoryCluster, type MemoryCluster } from "../../emulator/memory.ts";
import { kindAndName } from "../../provisioning/objects.ts";
import { loadScripts } from "../../provisioning/scripts.ts";
import type { PatchOperation } from "../../core/patch.ts";
import type { Pod } from "../../core/pod.ts";
import { examples, version } from "../../files.ts";
import { makeServingCertificate } from "../../certificates/issue.ts";
import { startServer } from "../../server/run.ts";
import { readTls } from "../../certificates/tls.ts";
import { type Chapter, CHAPTERS, DEMO_FORWARDS, DEMO_OBJECTS, type DemoVerdict } from "./chapters.ts";
import { type DemoAnswer, answerLines, forwardLines, forwardRows } from "./print.ts";
import type { Output } from "../options/output.ts";
import { parseConfig, UsageError } from "../options/options.ts";
import { readStream, type Workload } from "../../manifests/stream.ts";

/**
 * `demo`: the real server with a certificate of its own, and a cluster in memory. The demo sends AdmissionReviews of
 * the workloads in the folder `examples`, as an API server does. Returns the exit code: 0 only if every answer, the
 * gateway's objects and its table are right.
 */
export const demo = async ({ out }: Output, folder: URL = examples): Promise<0 | 1> => {
  const started = performance.now();
  const { config, workloads } = readExamples(folder);
  const certificate = await makeServingCertificate(["localhost", "127.0.0.1"], 1, new Date());
  const cluster = createMemoryCluster();
  const server = await startServer({
    cluster,
    config,
    scripts: loadScripts(),
    version,
    log: pino({ level: "silent" }),
    host: "127.0.0.1",
    port: 0,
    metricsPort: 0,
    tls: readTls(certificate.cert, certificate.key),
    drainSeconds: 0,
  });
  const agent = new Agent({ ca: certificate.ca, keepAlive: true });
  out(`The webhook serves at ${server.url}, on a Kubernetes in memory.\n`);
  const failures: string[] = [];
  try {
    for (const [index, chapter] of CHAPTERS.entries())
      failures.push(...(await tell(chapter, workloads[index], { url: server.url, agent, out })));
    failures.push(...tellGateway(cluster, out));
  } finally {
    agent.destroy();
    await server.stop();
  }
  const ms = Math.round(performance.now() - started);
  const end = failures.length === 0 ? "All as it should be" : `Not as it should be:\n  ${failures.join("\n  ")}\n`;
  out(`\n${end} (${ms} ms)\n`);
  return failures.length === 0 ? 0 : 1;
};

const readExamples = (folder: URL) => {
  const read = (name: string): string => {
    try {
      return readFileSync(new URL(name, folder), "utf8");
    } catch (error) {
      throw new UsageError(`the demo needs the folder examples beside the program: ${String(error)}`);
    }
  };
  const config = parseConfig(read("webhook-config.yaml"), "webhook-config.yaml");
  const { workloads } = readStream(read("flowgen-deployments.yaml"), "flowgen-deployments.yaml", "default");
  return { config, workloads };
};

type Stage = { readonly url: string; readonly agent: Agent; readonly out: Output["out"] };

/** Plays one chapter. Returns the differences from the expected answers. */
const tell = async (chapter: Chapter, workload: Workload | undefined, stage: Stage): Promise<readonly string[]> => {
  const { title, replicas, expected, env } = chapter;
  stage.out(`\n== ${title}\n`);
  if (workload === undefined) return [`${title}: flowgen-deployments.yaml has no such workload`];
  const failures: string[] = [];
  for (let replica = 1; replica <= replicas; replica += 1) {
    const answer = await review(stage, workload, workload.pod, `${workload.name}-${replica}`);
    const pod = patched(workload.pod, answer);
    const verdict = verdictOf(answer);
    stage.out(`pod ${replica} of ${workload.namespace}/${workload.name}: ${verdict}\n`);
    if (replica === 1) for (const line of answerLines(answer, workload.pod, pod)) stage.out(`${line}\n`);
    if (verdict !== expected) failures.push(`${title}: expected ${expected}, was ${verdict}`);
    failures.push(...wrongEnv(pod, env).map((name) => `${title}: ${name} of pod ${replica} is not what it should be`));
    const again = verdictOf(await review(stage, workload, pod, `${workload.name}-${replica}-again`));
    if (verdict === "patched" && again !== "untouched") failures.push(`${title}: a second admission was ${again}`);
  }
  return failures;
};

const verdictOf = ({ allowed, patch }: DemoAnswer): DemoVerdict =>
  allowed ? (patch === undefined ? "untouched" : "patched") : "denied";

const wrongEnv = ({ spec }: Pod, wanted: Chapter["env"]): readonly string[] =>
  Object.entries(wanted)
    .filter(([name, value]) => spec.containers[0]?.env?.find((item) => item.name === name)?.value !== value)
    .map(([name]) => name);

const patched = (pod: Pod, { patch }: DemoAnswer): Pod => {
  const operations = JSON.parse(Buffer.from(patch ?? "", "base64").toString() || "[]") as PatchOperation[];
  return jsonpatch.applyPatch(structuredClone(pod), operations).newDocument;
};

const tellGateway = (cluster: MemoryCluster, out: Output["out"]): readonly string[] => {
  const all = cluster.all();
  const objects = all.map(kindAndName);
  out(`\n== The gateway\n${objects.join("\n")}\n`);
  const table = all.find(({ metadata }) => metadata.name === "flowgen-wireguard-gateway-forwards");
  const rows = forwardRows((table?.["data"] as Record<string, string> | undefined)?.["table.json"] ?? "");
  out(`\n== Its forward table\n${forwardLines(rows).join("\n")}\n`);
  const forwards = rows.map((row) => row.slice(0, 2).join(" "));
  return [
    ...differs("the gateway's objects", DEMO_OBJECTS, objects),
    ...differs("the forward table", DEMO_FORWARDS, forwards),
  ];
};

const differs = (what: string, wanted: readonly string[], was: readonly string[]): readonly string[] =>
  wanted.join() === was.join() ? [] : [`${what}: expected ${wanted.join(", ")}, was ${was.join(", ")}`];

/** Sends what kube-apiserver sends when a ReplicaSet makes a pod. */
const review = ({ url, agent }: Stage, { namespace, name }: Workload, pod: Pod, uid: string): Promise<DemoAnswer> => {
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
    const options = { method: "POST", agent, headers: { "content-type": "application/json" } };
    const call = request(`${url}/mutate?timeout=10s`, options, (response) => {
      json(response).then((answer) => {
        resolve((answer as { response: DemoAnswer }).response);
      }, reject);
    });
    call.on("error", reject);
    call.end(body);
  });
};
