// The whole story as its users live it, on a real node: kubelet, containerd, kube-proxy and cluster DNS; the webhook as a
// pod; real WireGuard and a PostgreSQL that is reached through it alone. The steps build on one another.
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { kubectl as run } from "../cluster/webhook.ts";
import { run as runOn } from "../tunnel/hosts.ts";
import { documentedSecret, keyPair } from "../tunnel/vpn.ts";
import type { Vpn } from "../tunnel/vpn.ts";
import { deployment, experience, linesOf } from "./clients.ts";
import type { Client, Line } from "./clients.ts";
import { figures, seconds } from "./figures.ts";
import { eventually, execIn, GATEWAY, isReady, podOf, podsOf, readyCondition, restartsOf } from "./gateway.ts";
import type { PodFacts, Where } from "./gateway.ts";
import { install } from "./installation.ts";
import { testUninstall, testUpgrade } from "./lifecycle.ts";
import { startNode } from "./node.ts";
import { countLeaks, startOnPrem } from "./on-prem.ts";
import { removeForward } from "./removal.ts";

const first: Client = { namespace: "team-a", name: "flowgen" };
const second: Client = { namespace: "team-b", name: "reports" };
const quiet: Client = { namespace: "team-a", name: "quiet" };
const careful: Client = { namespace: "team-b", name: "careful" };
const QUIET: Where = { namespace: "flowgen-gateway", name: "quiet-gateway" };

const configWith = (mode: "audit" | "enforce") => ({
  mode,
  defaultGateway: GATEWAY.name,
  gateways: [
    {
      ...GATEWAY,
      tunnels: [
        {
          name: "wg0",
          secretName: "wireguard-client-a",
          allowedTargets: ["10.0.0.0/24"],
          namespaces: ["team-a", "team-b"],
        },
      ],
    },
    { ...QUIET, tunnels: [{ name: "wg0", secretName: "wireguard-client-b", allowedTargets: ["10.0.1.0/24"] }] },
    { name: "own-gateway", tunnels: [{ name: "wg0", secretName: "vpn", allowedTargets: ["10.0.2.0/24"] }] },
  ],
});

t.setTimeout(600_000);
const vpn = await startOnPrem(t, "172.30.0.10", ["10.0.0.5", "10.0.0.6", "10.0.0.7"]);
const quietVpn = await startOnPrem(t, "172.30.0.11", ["10.0.1.5"]);
const node = await startNode({ "vpn.example.com": "172.30.0.10" });
t.teardown(node.stop);
const { controlPlane } = node;
const leaks = countLeaks();
const measured = figures();

const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
const apply = (manifest: string): Promise<string> => kubectl(["apply", "-f", "-"], manifest);
const gatewayPod = (): Promise<PodFacts> => podOf(controlPlane, GATEWAY);
const inGateway = async (container: string, script: string) =>
  execIn(controlPlane, await gatewayPod(), GATEWAY, container, script);
const secret = (name: string, config: string): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "flowgen-gateway" },
    stringData: { "wg0.conf": config },
  });
const secretOf = (vpn: Vpn, changes: Parameters<typeof documentedSecret>[1] = {}): string =>
  documentedSecret(vpn, { endpoint: "vpn.example.com:51820", ...changes });

/** The first row of each pod of a deployment since `from`, as soon as `count` pods have one. */
const firstRows = (client: Client, from: number, count: number): Promise<readonly Line[]> =>
  eventually(
    `rows of ${count} pods of ${client.name}`,
    60_000,
    async () => {
      const rows = (await linesOf(client, from)).filter(({ kind }) => kind === "row");
      const byPod = Map.groupBy(rows, ({ pod }) => pod);
      return byPod.size < count ? undefined : [...byPod.values()].flatMap((lines) => lines.slice(0, 1));
    },
    async () => {
      const lines = (await linesOf(client, from)).slice(-3).map(({ kind, text }) => `${kind} ${text}`);
      return [...lines, await kubectl(["get", "pods,events", `--namespace=${client.namespace}`])].join("\n");
    },
  );

for (const namespace of ["team-a", "team-b", "team-c"]) await kubectl(["create", "namespace", namespace]);
const installation = await install(controlPlane, configWith("enforce"), ["team-c"]);
const { upgrade } = installation;
const life = { controlPlane, installation, client: first, targets: "flowgen=10.0.0.5:5432", measured };
let quietDiedAt = 0;

t.test("three replicas query the on-prem PostgreSQL through Service, gateway and tunnel", async (t) => {
  await apply(secret("wireguard-client-a", secretOf(vpn)));
  const begun = Date.now();
  await apply(deployment({ ...first, target: "10.0.0.5", replicas: 3 }));
  const rows = await firstRows(first, begun, 3);
  t.strictSame(
    rows.map(({ text }) => text),
    ["10.0.0.5", "10.0.0.5", "10.0.0.5"],
  );
  const [fastest = Infinity, , slowest = Infinity] = rows.map(({ at }) => at - begun).sort((a, b) => a - b);
  t.ok(measured.isInTime("apply to first row", fastest, `, all three replicas ${seconds(slowest)}`));
  t.equal(leaks(), 0, "nothing left by the pods' own network");
});

t.test("the gateway's pod runs with what the manifests leave it", async (t) => {
  const status = "grep -E 'Uid|CapEff|NoNewPrivs|Seccomp:' /proc/self/status; touch /x; echo '#' $?";
  t.match(
    (await inGateway("port-forward", status)).stdout,
    /Uid:\s+65534.*CapEff:\s+0000000000000000.*NoNewPrivs:\s+1.*Seccomp:\s+2.*# 1/s,
  );
  t.match(
    (await inGateway("wireguard", "wg show wg0; ip -d link show wg0")).stdout,
    /latest handshake.*mtu 1420.*tun type tun/s,
    "wireguard-go: the node has no kernel WireGuard",
  );
  t.match((await inGateway("wireguard", "ip route show table main")).stdout, /^default via 10\.244\.0\.1 dev eth0/);
  const logs = await kubectl(["logs", "--namespace=flowgen-gateway", `deployment/${GATEWAY.name}`, "--all-containers"]);
  t.match(logs, /tunnel wg0: up/);
  t.notOk(logs.includes(vpn.clientKeys.privateKey), "no key in the log");
  const bulk = `psql -XAtc "select repeat('x', 10485760)" | wc -c`;
  const { stdout } = await controlPlane.kubectl([
    "exec",
    "--namespace=team-a",
    "deployment/flowgen",
    "--",
    "sh",
    "-c",
    bulk,
  ]);
  t.match(stdout, "10485761", "10 MB come through the tunnel's MTU");
});

t.test("another gateway, whose VPN server dies now: seen at the end", async (t) => {
  await apply(secret("wireguard-client-b", secretOf(quietVpn, { endpoint: quietVpn.endpoint })));
  await apply(deployment({ ...quiet, target: "10.0.1.5", annotations: { "flowgen.io/gateway": QUIET.name } }));
  await firstRows(quiet, 0, 1);
  t.ok(await eventually("ready", 10_000, async () => isReady(await podOf(controlPlane, QUIET)) || undefined));
  await kubectl(["scale", "--namespace=team-a", "deployment/quiet", "--replicas=0"]);
  await quietVpn.stop();
  quietDiedAt = Date.now();
});

t.test("a second target while the first queries", async (t) => {
  const before = await gatewayPod();
  const begun = Date.now();
  await apply(deployment({ ...second, target: "10.0.0.6" }));
  const [row] = await firstRows(second, begun, 1);
  t.match(row, { text: "10.0.0.6" });
  const took = (row?.at ?? Infinity) - begun;
  await sleep(2_000);
  const felt = experience(await linesOf(first), begun - 1_000, Date.now());
  t.ok(measured.isInTime("second target: apply to first row", took));
  measured.note(
    "second target: queries of the first lost",
    `${felt.failures.length} of ${felt.queries}, gap ${seconds(felt.gap)}`,
  );
  t.strictSame([felt.failures, felt.lostSessions], [[], 0], "not one query of the first failed, no session was lost");
  const after = await gatewayPod();
  t.equal(after.metadata.uid, before.metadata.uid, "the same pod");
  t.equal(restartsOf(after), 0, "not restarted");
});

t.test("a target is removed while the first queries", async (t) => {
  const before = await gatewayPod();
  const knock = (port: number): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ host: before.status.podIP ?? "", port });
      const answer = (what: string): void => {
        socket.destroy();
        resolve(what);
      };
      socket.once("connect", () => answer("connected"));
      socket.once("error", ({ code = "" }: NodeJS.ErrnoException) => answer(code));
    });
  const port = 5433; // 5432 is the first target's
  t.equal(await knock(port), "connected");
  const begun = Date.now();
  await removeForward(controlPlane, JSON.stringify(configWith("enforce")), "reports");
  await eventually("the removed port refuses", 10_000, async () => (await knock(port)) === "ECONNREFUSED" || undefined);
  t.comment(`refused after ${Date.now() - begun} ms`);
  await sleep(3_000);
  t.strictSame(
    (await linesOf(second, Date.now() - 1_000)).filter(({ kind }) => kind === "row"),
    [],
    "nobody reaches the target by the Service",
  );
  await sleep(2_000);
  const felt = experience(await linesOf(first), begun - 1_000, Date.now());
  measured.note(
    "target removed: queries of the first lost",
    `${felt.failures.length} of ${felt.queries}, gap ${seconds(felt.gap)}`,
  );
  t.strictSame([felt.failures, felt.lostSessions], [[], 0], "not one query failed, no session was lost");
  t.equal((await gatewayPod()).metadata.uid, before.metadata.uid, "the same pod");
  await kubectl(["delete", "deployment", "reports", "--namespace=team-b", "--wait=false"]);
});

/** Endpoints from which the VPN server was spoken to, each once in a row, until `stop`. */
const watchEndpoints = (): (() => readonly string[]) => {
  const seen: string[] = [];
  const look = (): void => {
    const endpoint = runOn(vpn.host, "wg show wg0 endpoints | cut -f 2").trim();
    if (endpoint !== seen.at(-1)) seen.push(endpoint);
  };
  const timer = setInterval(look, 50);
  return () => {
    clearInterval(timer);
    return seen;
  };
};

t.test("the gateway's pod is deleted", async (t) => {
  const before = await gatewayPod();
  const endpoints = watchEndpoints();
  const begun = Date.now();
  await kubectl(["delete", "pod", before.metadata.name, "--namespace=flowgen-gateway", "--wait=false"]);
  const next = await eventually("another pod is ready", 30_000, async () => {
    const pod = (await podsOf(controlPlane, GATEWAY)).find(({ metadata }) => metadata.uid !== before.metadata.uid);
    return pod !== undefined && isReady(pod) ? pod : undefined;
  });
  const readyAt = Date.now();
  await firstRows(first, readyAt + 500, 3);
  const gone = await eventually("the old pod is gone", 30_000, async () =>
    (await podsOf(controlPlane, GATEWAY)).length === 1 ? Date.now() : undefined,
  );
  const seen = endpoints();
  const felt = experience(await linesOf(first), begun - 1_000, Date.now());
  t.comment(`ready after ${readyAt - begun} ms, old pod gone after ${gone - begun} ms, server saw ${seen.join(" ")}`);
  const failed = `, ${felt.failures.length} of ${felt.queries} queries failed`;
  t.ok(measured.isInTime("gateway pod deleted: gap", felt.gap, failed));
  t.equal(
    seen.length,
    2,
    "one identity at any time: the server was spoken to by the old pod, then by the new one alone",
  );
  t.equal(restartsOf(next), 0);
});

t.test("the interface is set down under load", async (t) => {
  const before = leaks();
  const hold = "end=$(($(date +%s) + 5)); while [ $(date +%s) -lt $end ]; do ip link set wg0 down; sleep 0.05; done";
  t.match(await inGateway("wireguard", hold), { code: 0 });
  const upAgainAt = Date.now();
  await firstRows(first, upAgainAt, 3);
  const rows = await firstRows(first, upAgainAt, 3);
  const back = Math.max(...rows.map(({ at }) => at)) - upAgainAt;
  measured.note("interface down: packets leaked", String(leaks() - before));
  t.ok(measured.isInTime("interface up again: gap", back));
  t.equal(leaks() - before, 0, "no packet to a private server left by the pod's own network");
});

t.test("the key is rotated in the Secret and on the server", async (t) => {
  const before = await gatewayPod();
  const keys = keyPair();
  const begun = Date.now();
  await apply(secret("wireguard-client-a", secretOf(vpn, { privateKey: keys.privateKey })));
  vpn.setClient(keys.publicKey);
  const takenOver = await eventually("the new key is taken over", 150_000, async () => {
    const { stdout } = await controlPlane.kubectl([
      ...["logs", "--namespace=flowgen-gateway", before.metadata.name, "-c", "wireguard"],
    ]);
    return stdout.includes("taken over live") ? Date.now() : undefined;
  });
  const rows = await firstRows(first, takenOver, 3);
  const { gap } = experience(await linesOf(first), begun - 1_000, Math.max(...rows.map(({ at }) => at)));
  const delivered = `, of which ${seconds(takenOver - begun)} until the kubelet brought the Secret`;
  measured.note("key rotated in the Secret: gap", `${seconds(gap)}${delivered}`);
  const after = await gatewayPod();
  t.equal(after.metadata.uid, before.metadata.uid, "the same pod");
  t.equal(restartsOf(after), 0, "not restarted");
});

t.test("the node is drained of the gateway's pod", async (t) => {
  const drain = ["drain", "node", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s"];
  await kubectl([...drain, "--pod-selector=app.kubernetes.io/component=wireguard-gateway"]);
  const begun = Date.now();
  await kubectl(["uncordon", "node"]);
  const rows = await firstRows(first, begun, 3);
  const back = Math.max(...rows.map(({ at }) => at)) - begun;
  t.ok(measured.isInTime("node drained: gap after uncordon", back));
});

t.test("audit mode changes nothing; switched to enforce, a restart brings the pods over", async (t) => {
  const objects = async (): Promise<string> =>
    kubectl([
      "get",
      "configmaps,services,deployments.apps,networkpolicies",
      "--namespace=flowgen-gateway",
      "-o",
      `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid} {.spec}{.data}{"\\n"}{end}`,
    ]);
  await upgrade(configWith("audit"));
  const before = await objects();
  await apply(deployment({ ...careful, target: "10.0.0.7" }));
  await kubectl(["rollout", "status", "deployment/careful", "--namespace=team-b", "--timeout=60s"]);
  const envOf = async (): Promise<string> =>
    kubectl([
      "get",
      "pods",
      "--namespace=team-b",
      "-l",
      "app.kubernetes.io/instance=careful",
      "-o",
      `jsonpath={.items[*].spec.containers[0].env[?(@.name=="PGHOST")].value}`,
    ]);
  t.equal(await envOf(), "10.0.0.7", "its env is as it was");
  t.equal(await objects(), before, "the gateway's objects are as they were");

  await upgrade(configWith("enforce"));
  const begun = Date.now();
  await kubectl(["rollout", "restart", "deployment/careful", "--namespace=team-b"]);
  const [row] = await firstRows(careful, begun, 1);
  t.match(row, { text: "10.0.0.7" });
  t.match(await envOf(), `${GATEWAY.name}.flowgen-gateway.svc`);
});

t.test("a namespace that does not admit the gateway's pod says so", async (t) => {
  await kubectl(["label", "namespace", "team-c", "pod-security.kubernetes.io/enforce=baseline"]);
  await apply(
    deployment({
      namespace: "team-c",
      name: "own",
      target: "10.0.2.5",
      annotations: { "flowgen.io/gateway": "own-gateway" },
    }),
  );
  const message = await eventually("an Event", 20_000, async () => {
    const { items } = JSON.parse(await kubectl(["get", "events", "--namespace=team-c", "-o", "json"])) as {
      items: { reason: string; message: string }[];
    };
    return items.find(({ reason }) => reason === "FailedCreate")?.message;
  });
  t.match(message, /violates PodSecurity "baseline:latest": .*NET_ADMIN.*hostPath/);
});

t.test("an upgrade to the next version and its rollback, while pods come and query", (t) => testUpgrade(t, life));

t.test("uninstalled and installed again, while pods come and query", (t) =>
  testUninstall(t, life, configWith("enforce")),
);

t.test("a dead VPN server makes its gateway not ready, and a server that is back makes it ready", async (t) => {
  const fell = await eventually("not ready", 240_000, async () => {
    const condition = readyCondition(await podOf(controlPlane, QUIET));
    return condition?.status === "False" ? Date.parse(condition.lastTransitionTime) : undefined;
  });
  measured.note("VPN server dead: not ready after", seconds(fell - quietDiedAt));
  t.ok(fell - quietDiedAt <= 186_000, "within 180 s and a period");
  t.ok(fell - quietDiedAt > 30_000, "not because of anything else");
  await quietVpn.start();
  const begun = Date.now();
  await eventually("ready", 200_000, async () => isReady(await podOf(controlPlane, QUIET)) || undefined);
  measured.note("VPN server back: ready after", seconds(Date.now() - begun));
  t.equal(restartsOf(await podOf(controlPlane, QUIET)), 0, "not restarted");
});

t.test("figures", async (t) => {
  const lines = measured.print();
  for (const line of lines) t.comment(line);
  t.notOk(
    lines.some((line) => line.endsWith(" -")),
    "every step was measured",
  );
});
