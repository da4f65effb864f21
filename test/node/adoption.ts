// A gateway of the flowgen chart is taken over while clients query through it, by its name and address. Measured is how
// long they are cut off.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { stringify } from "yaml";
import { breakGlass } from "../lab/control-plane/break-glass.ts";
import { runCommand } from "../lab/control-plane/command.ts";
import { kubectl as run } from "../lab/control-plane/webhook.ts";
import { chartGateway } from "../lab/flowgen/chart-gateway.ts";
import { type Client, clientDeployment, experience, linesOf } from "../lab/node/clients.ts";
import { isPodReady, podsOf, tunnelSecret } from "../lab/node/gateway.ts";
import { installChart } from "../lab/node/installation.ts";
import { startNode } from "../lab/node/node.ts";
import { countLeaks, startOnPrem } from "../lab/node/on-prem.ts";
import { documentedSecret } from "../lab/vpn/vpn.ts";
import { eventually } from "../wait.ts";
import { seconds } from "./figures.ts";
import { firstRows } from "./steps.ts";

const RELEASE = "flowgen";
const GATEWAY = { namespace: "flowgen-gateway", name: `${RELEASE}-wireguard-gateway` };
const SERVER = "10.0.0.5";
const forwards = [{ name: "postgres", port: 5432, targetHost: SERVER, targetPort: 5432 }];
const config = {
  gateways: [
    {
      ...GATEWAY,
      userspace: true, // the node's kernel has no WireGuard
      tunnels: [
        { name: "wg0", secretName: "wireguard-client-a", allowedTargets: ["10.0.0.0/24"], portForwards: forwards },
      ],
    },
  ],
};
/** As the image's own, with wireguard-go. The Secret as documented is none that wg-quick takes. */
const COMMAND = `
export WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go
sed 's/^\\([A-Za-z]*\\): /\\1 = /; /^DNS/d' /config/wg0.conf >/tmp/wg0.conf
chmod 600 /tmp/wg0.conf
trap 'wg-quick down /tmp/wg0.conf; exit 0' TERM
wg-quick up /tmp/wg0.conf
while :; do sleep 0.2; done`;
/** Name the gateway themselves, as flows of the documentation do. */
const flows: Client = { namespace: "team-a", name: "flows" };
const annotated: Client = { namespace: "team-a", name: "annotated" };
/** Near enough to a deleted pod's: its end, an init container, the handshake. */
const MOST_GAP_MS = 20_000;

t.setTimeout(200_000);
const vpn = await startOnPrem(t, "172.30.0.10", [SERVER]);
const node = await startNode({ "vpn.example.com": "172.30.0.10" });
t.teardown(node.stop);
const { controlPlane } = node;
const leaks = countLeaks();
const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
const apply = (manifest: string): Promise<string> => kubectl(["apply", "-f", "-"], manifest);

await kubectl(["create", "namespace", "team-a"]);
await installChart(controlPlane, config, []);
const secret = documentedSecret(vpn, { endpoint: "vpn.example.com:51820", allowedIps: "10.0.0.0/24, 10.13.13.0/24" });
await apply(tunnelSecret("wireguard-client-a", secret));
const chart = { ...GATEWAY, release: RELEASE, secretName: "wireguard-client-a", forwards };
const items = chartGateway({ ...chart, command: ["bash", "-c", COMMAND], privileged: true });
await apply(JSON.stringify({ apiVersion: "v1", kind: "List", items }));
await eventually("the chart's gateway is ready", 60_000, async () => {
  const [pod] = await podsOf(controlPlane, { ...GATEWAY, name: RELEASE });
  return (pod !== undefined && isPodReady(pod)) || undefined;
});
await apply(
  clientDeployment({
    ...{ ...flows, target: `${GATEWAY.name}.${GATEWAY.namespace}.svc`, replicas: 3 },
    annotations: { "flowgen.io/mode": "disabled" },
  }),
);
await firstRows(controlPlane, flows, 0, 3);

t.test("its clients are cut off for some seconds, and go on by the same name and address", async (t) => {
  await breakGlass(kubectl, GATEWAY.namespace);
  const kubeconfig = await controlPlane.signIn("break-glass", { name: "break-glass" });
  const file = join(controlPlane.folder, "adopt.yaml");
  await writeFile(file, stringify(config));
  const begun = Date.now();
  const id = `${GATEWAY.namespace}/${GATEWAY.name}`;
  const { code, out, err } = await runCommand(["adopt", id, `--config=${file}`], kubeconfig);
  t.equal(code, 0, err);
  t.comment(out);
  t.match(out, /the gateway's pod is ready, [\d.]+ s after the former one began to end/);
  const rows = await firstRows(controlPlane, flows, Date.now(), 3);
  const felt = experience(await linesOf(flows), begun, Math.max(...rows.map(({ at }) => at)));
  t.comment(`adopt: gap ${seconds(felt.gap)}, ${felt.failures.length} of ${felt.queries} queries failed`);
  t.ok(felt.gap < MOST_GAP_MS, seconds(felt.gap));
  await eventually("the former pod is gone", 40_000, async () => {
    const former = await podsOf(controlPlane, { ...GATEWAY, name: RELEASE });
    return former.length === 0 || undefined;
  });
});

t.test("an annotated pod uses the same gateway, and running ones lose no query", async (t) => {
  const begun = Date.now();
  const before = leaks(); // The former pod's: while it ends, its tunnel is gone and its socat is not.
  await apply(clientDeployment({ ...annotated, target: SERVER }));
  const [row] = await firstRows(controlPlane, annotated, begun, 1);
  t.match(row, { text: SERVER });
  const felt = experience(await linesOf(flows), begun, Date.now());
  t.strictSame([felt.failures, felt.lostSessions], [[], 0]);
  t.equal(leaks() - before, 0, "nothing left by the pods' own network");
});
