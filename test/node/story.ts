// The whole story on a real node, with kubelet, containerd, kube-proxy and cluster DNS. The webhook is a pod, WireGuard
// is real, and a PostgreSQL is reached through it alone. The steps build on one another.
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { kubectl as run } from "../lab/control-plane/webhook.ts";
import { documentedSecret, keyPair } from "../lab/vpn/vpn.ts";
import type { Vpn } from "../lab/vpn/vpn.ts";
import { clientDeployment, experience, linesOf } from "../lab/node/clients.ts";
import type { Client } from "../lab/node/clients.ts";
import { figures, seconds } from "./figures.ts";
import {
  execIn,
  NODE_GATEWAY,
  isPodReady,
  readyCondition,
  restartsOf,
  runningPod,
  tunnelSecret,
} from "../lab/node/gateway.ts";
import type { PodFacts, Where } from "../lab/node/gateway.ts";
import { installChart } from "../lab/node/installation.ts";
import { testUninstall, testUpgrade } from "./lifecycle.ts";
import { startNode } from "../lab/node/node.ts";
import { countLeaks, startOnPrem } from "../lab/node/on-prem.ts";
import { removeForward } from "./removal.ts";
import { firstRows, interfaceDown, podDeleted, secondTarget } from "./steps.ts";
import type { NodeScene } from "./steps.ts";
import { eventually } from "../wait.ts";

const first: Client = { namespace: "team-a", name: "flowgen" };
const second: Client = { namespace: "team-b", name: "reports" };
const quiet: Client = { namespace: "team-a", name: "quiet" };
const careful: Client = { namespace: "team-b", name: "careful" };
const fast: Client = { namespace: "team-a", name: "fast" };
const QUIET: Where = { namespace: "flowgen-gateway", name: "quiet-gateway" };
const FAST: Where = { namespace: "flowgen-gateway", name: "fast-gateway" };

/** The node's kernel has no WireGuard. */
const userspace = true;
const configWith = (mode: "audit" | "enforce") => ({
  mode,
  defaultGateway: NODE_GATEWAY.name,
  gateways: [
    {
      ...{ ...NODE_GATEWAY, userspace },
      tunnels: [
        {
          name: "wg0",
          secretName: "wireguard-client-a",
          allowedTargets: ["10.0.0.0/24"],
          namespaces: ["team-a", "team-b"],
        },
      ],
    },
    {
      ...QUIET,
      userspace,
      securityContext: { readOnlyRootFilesystem: true, capabilities: { add: ["NET_ADMIN"] }, runAsUser: 0 },
      tunnels: [{ name: "wg0", secretName: "wireguard-client-b", allowedTargets: ["10.0.1.0/24"] }],
    },
    {
      ...{ ...FAST, userspace },
      forwarder: "kernel",
      securityContext: { privileged: true }, // sets ip_forward, which nodes commonly have set for their pods
      tunnels: [{ name: "wg0", secretName: "wireguard-client-c", allowedTargets: ["10.0.3.0/24"] }],
    },
    { name: "own-gateway", userspace, tunnels: [{ name: "wg0", secretName: "vpn", allowedTargets: ["10.0.2.0/24"] }] },
  ],
});

t.setTimeout(600_000);
const vpn = await startOnPrem(t, "172.30.0.10", ["10.0.0.5", "10.0.0.6", "10.0.0.7"]);
const quietVpn = await startOnPrem(t, "172.30.0.11", ["10.0.1.5"]);
const fastVpn = await startOnPrem(t, "172.30.0.12", ["10.0.3.5", "10.0.3.6"]);
const node = await startNode({ "vpn.example.com": "172.30.0.10" });
t.teardown(node.stop);
const { controlPlane } = node;
const leaks = countLeaks();
const table = figures();
const measured = table.socat;
const scene: NodeScene = { controlPlane, gateway: NODE_GATEWAY, vpn, leaks, measured, first };
const fastScene: NodeScene = { controlPlane, gateway: FAST, vpn: fastVpn, leaks, measured: table.kernel, first: fast };

const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
const apply = (manifest: string): Promise<string> => kubectl(["apply", "-f", "-"], manifest);
const gatewayPod = (): Promise<PodFacts> => runningPod(controlPlane, NODE_GATEWAY);
const inGateway = async (container: string, script: string) =>
  execIn(controlPlane, await gatewayPod(), NODE_GATEWAY, container, script);
const secretOf = (vpn: Vpn, changes: Parameters<typeof documentedSecret>[1] = {}): string =>
  documentedSecret(vpn, { endpoint: "vpn.example.com:51820", ...changes });

for (const namespace of ["team-a", "team-b", "team-c"]) await kubectl(["create", "namespace", namespace]);
const installation = await installChart(controlPlane, configWith("enforce"), ["team-c"]);
const { upgrade } = installation;
const life = { controlPlane, installation, client: first, targets: "flowgen=10.0.0.5:5432", measured };
let quietDiedAt = 0;

t.test("three replicas query the on-prem PostgreSQL through Service, gateway and tunnel", async (t) => {
  await apply(tunnelSecret("wireguard-client-a", secretOf(vpn)));
  const begun = Date.now();
  await apply(clientDeployment({ ...first, target: "10.0.0.5", replicas: 3 }));
  const rows = await firstRows(controlPlane, first, begun, 3);
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
  const logs = await kubectl([
    "logs",
    "--namespace=flowgen-gateway",
    `deployment/${NODE_GATEWAY.name}`,
    "--all-containers",
  ]);
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

t.test("another gateway, with a read-only root; its VPN server dies now: seen at the end", async (t) => {
  await apply(tunnelSecret("wireguard-client-b", secretOf(quietVpn, { endpoint: quietVpn.endpoint })));
  await apply(clientDeployment({ ...quiet, target: "10.0.1.5", annotations: { "flowgen.io/gateway": QUIET.name } }));
  await firstRows(controlPlane, quiet, 0, 1);
  t.ok(await eventually("ready", 10_000, async () => isPodReady(await runningPod(controlPlane, QUIET)) || undefined));
  for (const container of ["wireguard", "port-forward"]) {
    const pod = await runningPod(controlPlane, QUIET);
    const { stdout, stderr } = await execIn(controlPlane, pod, QUIET, container, "touch /x; echo $?");
    t.match(`${stderr}${stdout}`, /Read-only file system\s+1$/m, container);
  }
  await kubectl(["scale", "--namespace=team-a", "deployment/quiet", "--replicas=0"]);
  await quietVpn.stop();
  quietDiedAt = Date.now();
});

t.test("a second target while the first queries", async (t) => secondTarget(t, scene, second, "10.0.0.6"));

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
    "no client reaches the target by the Service",
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

t.test("the gateway's pod is deleted", async (t) => podDeleted(t, scene));
t.test("the interface is set down under load", async (t) => interfaceDown(t, scene));

t.test("a gateway whose kernel forwards", async (t) => {
  await apply(tunnelSecret("wireguard-client-c", secretOf(fastVpn, { endpoint: fastVpn.endpoint })));
  const begun = Date.now();
  await apply(
    clientDeployment({ ...fast, target: "10.0.3.5", replicas: 3, annotations: { "flowgen.io/gateway": FAST.name } }),
  );
  const rows = await firstRows(controlPlane, fast, begun, 3);
  t.ok(table.kernel.isInTime("apply to first row", Math.min(...rows.map(({ at }) => at)) - begun));
  // A long session that was refused before the gateway was ready begins anew. One whose SYN came while kube-proxy changed
  // its rules hears after 3 s that there is no route.
  await sleep(5_000);
  await t.test("a second target", async (t) =>
    secondTarget(t, fastScene, { namespace: "team-b", name: "fast-reports" }, "10.0.3.6"),
  );
  await t.test("its pod is deleted", async (t) => podDeleted(t, fastScene));
  await t.test("its interface is set down", async (t) => interfaceDown(t, fastScene));
  const rules = "iptables -t nat -nvxL FLOWGEN-PREROUTING | awk '/dpt:5432.*to:10.0.3.5:5432/ && $1 > 0'";
  const pod = await runningPod(controlPlane, FAST);
  // The counters begin anew whenever the rules are put in again.
  await eventually("connections go by the kernel", 10_000, async () => {
    const { stdout } = await execIn(controlPlane, pod, FAST, "wireguard", rules);
    return stdout.includes("DNAT") || undefined;
  });
  await kubectl(["delete", "deployment", "fast", "--namespace=team-a", "--wait=false"]);
  await kubectl(["delete", "deployment", "fast-reports", "--namespace=team-b", "--wait=false"]);
});

t.test("the key is rotated in the Secret and on the server", async (t) => {
  const before = await gatewayPod();
  const keys = keyPair();
  const begun = Date.now();
  await apply(tunnelSecret("wireguard-client-a", secretOf(vpn, { privateKey: keys.privateKey })));
  vpn.setClient(keys.publicKey);
  const takenOver = await eventually("the new key is taken over", 150_000, async () => {
    const { stdout } = await controlPlane.kubectl([
      ...["logs", "--namespace=flowgen-gateway", before.metadata.name, "-c", "wireguard"],
    ]);
    return stdout.includes("taken over live") ? Date.now() : undefined;
  });
  const rows = await firstRows(controlPlane, first, takenOver, 3);
  const { gap } = experience(await linesOf(first), begun - 1_000, Math.max(...rows.map(({ at }) => at)));
  const delivered = `, of which ${seconds(takenOver - begun)} until the kubelet brought the Secret`;
  measured.note("key rotated in the Secret: gap", `${seconds(gap)}${delivered}`);
  const after = await gatewayPod();
  t.equal(after.metadata.uid, before.metadata.uid, "the same pod");
  t.equal(restartsOf(after), 0, "not restarted");
});

t.test("the node is drained of the gateway's pod", async (t) => {
  const selector = `app.kubernetes.io/instance=${NODE_GATEWAY.name},app.kubernetes.io/component=wireguard-gateway`;
  const options = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s"];
  await kubectl(["drain", "node", ...options, `--pod-selector=${selector}`]);
  const begun = Date.now();
  await kubectl(["uncordon", "node"]);
  const rows = await firstRows(controlPlane, first, begun, 3);
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
  await apply(clientDeployment({ ...careful, target: "10.0.0.7" }));
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
  const [row] = await firstRows(controlPlane, careful, begun, 1);
  t.match(row, { text: "10.0.0.7" });
  t.match(await envOf(), `${NODE_GATEWAY.name}-10-0-0-7-`, "another target has the port at the gateway's own Service");
});

t.test("a namespace that does not admit the gateway's pod says so", async (t) => {
  await kubectl(["label", "namespace", "team-c", "pod-security.kubernetes.io/enforce=baseline"]);
  await apply(
    clientDeployment({
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
    const condition = readyCondition(await runningPod(controlPlane, QUIET));
    return condition?.status === "False" ? Date.parse(condition.lastTransitionTime) : undefined;
  });
  measured.note("VPN server dead: not ready after", seconds(fell - quietDiedAt));
  t.ok(fell - quietDiedAt <= 186_000, "within 180 s and a period");
  t.ok(fell - quietDiedAt > 100_000, "and not because of anything else");
  await quietVpn.start();
  const begun = Date.now();
  await eventually("ready", 200_000, async () => isPodReady(await runningPod(controlPlane, QUIET)) || undefined);
  measured.note("VPN server back: ready after", seconds(Date.now() - begun));
  t.equal(restartsOf(await runningPod(controlPlane, QUIET)), 0, "not restarted");
});

t.test("figures", async (t) => {
  for (const line of table.print()) t.comment(line);
  t.strictSame(table.missing(), [], "every step was measured");
});
