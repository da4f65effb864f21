/**
 * `npm run bench:services`: how long many Services take to follow a gateway's pod. On a real node (`test:node`) the
 * gateway's pod is deleted while 10, 50, 100 and 200 Services select it. Each has an address of its own and one port to
 * the same forward. Measured is the time from the deletion until a PostgreSQL behind the tunnel has answered through
 * the last Service. The controller manager has Kubernetes' default limits (20 requests a second, 30 at once), because
 * its EndpointSlice controller writes one object a Service. ROUNDS (3) deletions for each number.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { DEFAULT_LIMITS } from "../lab/control-plane/flags.ts";
import { clientDeployment } from "../lab/node/clients.ts";
import { NODE_GATEWAY, replacePod, tunnelSecret } from "../lab/node/gateway.ts";
import { installChart } from "../lab/node/installation.ts";
import { launch } from "../lab/node/launch.ts";
import { startNode, type Node } from "../lab/node/node.ts";
import { startOnPrem } from "../lab/node/on-prem.ts";
import { kubectl as run } from "../lab/control-plane/webhook.ts";
import { documentedSecret } from "../lab/vpn/vpn.ts";

const COUNTS = (process.env["COUNTS"] ?? "10,50,100,200").split(",").map(Number);
const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
const GOAL_SECONDS = 10;
const SERVER = { address: "10.0.0.5", port: 5432 };
/** What a PostgreSQL answers by one letter: will it speak TLS? */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const ANSWER_MS = 1_000;
const PAUSE_MS = 250;

const inGateway = `--namespace=${NODE_GATEWAY.namespace}`;
const names = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `bench-${index + 1}`);

const services = (count: number, targetPort: number): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: names(count).map((name) => ({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace: NODE_GATEWAY.namespace, labels: { bench: "services" } },
      spec: {
        selector: {
          "app.kubernetes.io/name": "flowgen",
          "app.kubernetes.io/instance": NODE_GATEWAY.name,
          "app.kubernetes.io/component": "wireguard-gateway",
        },
        ports: [{ name: "postgres", port: SERVER.port, targetPort }],
      },
    })),
  });

/** Whether a PostgreSQL answers at this address within a second. */
const answers = (host: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port: SERVER.port, timeout: ANSWER_MS });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => socket.write(SSL_REQUEST));
    socket.once("data", (letter) => end(letter.toString() === "S"));
    for (const event of ["error", "timeout", "close"]) socket.once(event, () => end(false));
  });

/** Asks through each of the addresses until it answers. Returns when the last one has. */
const allAnswer = async (addresses: readonly string[]): Promise<void> => {
  const limit = AbortSignal.timeout(120_000);
  await Promise.all(
    addresses.map(async (address) => {
      while (!(await answers(address))) {
        limit.throwIfAborted();
        await sleep(PAUSE_MS);
      }
    }),
  );
};

type Round = { readonly ready: number; readonly first: number; readonly last: number };

/**
 * One deletion; seconds from it until the next pod is ready, and until the first and the last Service give an answer.
 */
const deletePod = async ({ controlPlane }: Node, addresses: readonly string[]): Promise<Round> => {
  const begun = performance.now();
  const since = (): number => (performance.now() - begun) / 1000;
  await replacePod(controlPlane, NODE_GATEWAY); // an answer after that is the next pod's
  const ready = since();
  let first = Infinity;
  await Promise.all(
    addresses.map(async (address) => {
      await allAnswer([address]);
      first = Math.min(first, since());
    }),
  );
  return { ready, first, last: since() };
};

const measure = async (node: Node): Promise<void> => {
  const { controlPlane } = node;
  const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
  const forwards = await kubectl([
    "get",
    "configmap",
    `${NODE_GATEWAY.name}-forwards`,
    inGateway,
    "-o",
    "jsonpath={.data.forwards}",
  ]);
  const listenPort = Number(forwards.split(" ")[0]);
  console.log("Services  next pod ready  first Service  last Service (each deletion)  median");
  const followed: number[] = [];
  for (const count of COUNTS) {
    await kubectl(["apply", "-f", "-"], services(count, listenPort));
    const text = await kubectl([
      "get",
      "services",
      inGateway,
      "-l",
      "bench=services",
      "-o",
      "jsonpath={.items[*].spec.clusterIP}",
    ]);
    const addresses = text.split(" ");
    if (addresses.length !== count) throw new Error(`${addresses.length} Services instead of ${count}`);
    await allAnswer(addresses);
    const rounds: Round[] = [];
    while (rounds.length < ROUNDS) {
      await sleep(5_000); // the controller's allowance of requests is full again
      rounds.push(await deletePod(node, addresses));
    }
    const middle = (part: keyof Round): number =>
      rounds.map((round) => round[part]).sort((a, b) => a - b)[rounds.length >> 1] ?? NaN;
    const cells = [String(count), `${middle("ready").toFixed(1)} s`, `${middle("first").toFixed(1)} s`];
    const each = rounds.map(({ last }) => last.toFixed(1)).join(", ");
    console.log([...cells, each, `${middle("last").toFixed(1)} s`].map((cell) => cell.padEnd(16)).join(""));
    if (middle("last") <= GOAL_SECONDS) followed.push(count);
  }
  console.log(`the largest number whose last Service follows within ${GOAL_SECONDS} s: ${Math.max(0, ...followed)}`);
};

const inNode = async (): Promise<void> => {
  const ends: (() => Promise<void>)[] = [];
  const test = { teardown: (end: () => Promise<void>) => ends.push(end) };
  try {
    const vpn = await startOnPrem(test, "172.30.0.10", [SERVER.address]);
    const node = await startNode({ "vpn.example.com": "172.30.0.10" }, DEFAULT_LIMITS);
    test.teardown(node.stop);
    const tunnels = [{ name: "wg0", secretName: "wireguard-client-a", allowedTargets: ["10.0.0.0/24"] }];
    await installChart(
      node.controlPlane,
      { defaultGateway: NODE_GATEWAY.name, gateways: [{ ...NODE_GATEWAY, userspace: true, tunnels }] },
      [],
    );
    const apply = (manifest: string): Promise<string> => run(node.controlPlane, ["apply", "-f", "-"], manifest);
    const secret = documentedSecret(vpn, { endpoint: "vpn.example.com:51820" });
    await apply(tunnelSecret("wireguard-client-a", secret));
    await apply(clientDeployment({ namespace: "default", name: "flowgen", target: SERVER.address }));
    await run(node.controlPlane, ["rollout", "status", "deployment/flowgen", "--timeout=120s"]);
    await run(node.controlPlane, ["scale", "deployment/flowgen", "--replicas=0"]);
    await measure(node);
  } finally {
    for (const end of ends.toReversed()) await end();
  }
};

if (process.env["FLOWGEN_NODE_FOLDER"] === undefined) {
  const { args, env } = await launch(import.meta.filename);
  const [code] = (await once(spawn(process.execPath, args, { env, stdio: "inherit" }), "exit")) as [number | null];
  process.exitCode = code ?? 1;
} else {
  await inNode();
}
