// `check` on a real node: a healthy installation, then gateways and workloads that this test breaks one way each. Its
// output must name the broken object, one cause, one fix and a page.
import { execFileSync } from "node:child_process";
import t from "tap";
import { checkCodes } from "../../src/checks/codes.ts";
import type { CheckText } from "../../src/checks/codes/text.ts";
import { runCommand } from "../lab/control-plane/command.ts";
import { kubectl as run } from "../lab/control-plane/webhook.ts";
import { type Client, clientDeployment } from "../lab/node/clients.ts";
import { NODE_GATEWAY, tunnelSecret } from "../lab/node/gateway.ts";
import { installChart } from "../lab/node/installation.ts";
import { startNode } from "../lab/node/node.ts";
import { startOnPrem } from "../lab/node/on-prem.ts";
import { run as runOn } from "../lab/vpn/hosts.ts";
import { documentedSecret, keyPair, type Vpn } from "../lab/vpn/vpn.ts";
import { eventually } from "../wait.ts";
import { firstRows } from "./steps.ts";

/** How long a break may take to show: the kubelet gives an image up, a gateway gives its peer up. */
const SHOWS_MS = 90_000;
const DOCS = "https://github.com/connve/flowgen-gateway-webhook/blob/main/docs/findings.md";
const { namespace } = NODE_GATEWAY;

/** Gateways by name: `net` is the third byte of what they may reach. All Secrets are right at first. */
const gateways = [
  { name: NODE_GATEWAY.name, net: 0 },
  { name: "silent", net: 1 },
  { name: "unknown-key", net: 2 },
  { name: "garbled", net: 3 },
  { name: "renamed-key", net: 4 },
  { name: "no-image", net: 5, image: { tag: "nowhere" } },
  { name: "no-node", net: 6, nodeSelector: { disk: "nowhere" } },
  { name: "no-device", net: 7 },
  { name: "no-wireguard", net: 8, userspace: false },
];
const secretOf = (gateway: string): string => `secret-${gateway}`;
const config = {
  defaultGateway: NODE_GATEWAY.name,
  gateways: gateways.map(({ net, ...gateway }) => ({
    ...{ namespace, userspace: true, ...gateway },
    tunnels: [{ name: "wg0", secretName: secretOf(gateway.name), allowedTargets: [`10.0.${net}.0/24`] }],
  })),
};
const clientOf = (gateway: string): Client => ({ namespace: "team-a", name: gateway });

t.setTimeout(420_000);
const vpn = await startOnPrem(t, "172.30.0.10", ["10.0.0.5"]);
runOn(vpn.host, "ip addr add 10.0.0.6 dev lo"); // a server where nothing listens
const dying = await startOnPrem(t, "172.30.0.11", ["10.0.1.5"]);
const node = await startNode({ "vpn.example.com": "172.30.0.10" });
t.teardown(node.stop);
const { controlPlane } = node;
const kubectl = (args: readonly string[], input = ""): Promise<string> => run(controlPlane, args, input);
const apply = (manifest: string): Promise<string> => kubectl(["apply", "-f", "-"], manifest);
const secret = (gateway: string, of: Vpn, privateKey = keyPair().privateKey): Promise<string> =>
  apply(tunnelSecret(secretOf(gateway), documentedSecret(of, { privateKey })));
const use = (gateway: string, target: string, name = gateway): Promise<string> =>
  apply(clientDeployment({ ...clientOf(name), target, annotations: { "flowgen.io/gateway": gateway } }));

/** Runs `check` as a program. */
const check = async (...args: readonly string[]) => {
  const { code, out, err } = await runCommand(["check", ...args], controlPlane.kubeconfig);
  if (code === 2 || code === 70) throw new Error(err);
  return { code, out, errors: out.split("\n").filter((line) => line.startsWith("×")) };
};

/** The output of `check` for a deployment, once it has this code as the only error. */
const verdict = async (name: string, code: string) => {
  let last = "";
  const found = await eventually(
    `${code} of ${name}`,
    SHOWS_MS,
    async () => {
      const { code: exit, out, errors } = await check(`deploy/${name}`, "-n", "team-a");
      last = out;
      // Until the pods and the gateway's objects are made, their absence is an error too.
      return out.includes(`${code}: `) && new Set(errors).size === 1 ? { exit, out, errors } : undefined;
    },
    () => last,
  );
  const lines = found.out.split("\n");
  const from = lines.findIndex((line) => line.startsWith("×"));
  return {
    ...found,
    first: lines.slice(from, lines.findIndex((line, at) => at > from && line.startsWith("    see ")) + 1),
  };
};

type Break = {
  readonly code: keyof typeof checkCodes;
  /** Object and cause, as they are printed. */
  readonly says: RegExp;
  readonly name?: string;
  readonly break: () => Promise<unknown>;
  readonly restore?: () => Promise<unknown>;
};

/** By the gateway that is broken, in the order in which they are. */
const BREAKS: Readonly<Record<string, Break>> = {
  silent: {
    code: "tunnel-silent",
    says: /tunnel wg0 of gateway flowgen-gateway\/silent: 172\.30\.0\.11:51820, last handshake \d+ s ago: the VPN server/,
    break: async () => dying.stop(),
  },
  "unknown-key": {
    code: "tunnel-unanswered",
    says: /tunnel wg0 of gateway flowgen-gateway\/unknown-key: no handshake with 172\.30\.0\.10:51820, asked by the public key \S+=:/,
    break: () => use("unknown-key", "10.0.2.5"),
  },
  garbled: {
    code: "tunnel-unconfigured",
    says: /tunnel wg0 of gateway flowgen-gateway\/garbled: /,
    break: async () => {
      await apply(tunnelSecret(secretOf("garbled"), "[Interface]\nPrivateKey = half a key\n"));
      await use("garbled", "10.0.3.5");
    },
  },
  "renamed-key": {
    code: "secret-key-missing",
    says: /Secret flowgen-gateway\/secret-renamed-key: tunnel wg0 reads wg0\.conf; the Secret has client\.conf:/,
    break: async () => {
      const patch = '[{"op":"move","from":"/data/wg0.conf","path":"/data/client.conf"}]';
      await kubectl(["patch", "secret", secretOf("renamed-key"), `-n${namespace}`, "--type=json", `-p=${patch}`]);
      await use("renamed-key", "10.0.4.5");
    },
  },
  "no-image": {
    code: "image-unpulled",
    says: /Deployment flowgen-gateway\/no-image: container setup: (ErrImagePull|ImagePullBackOff): .*wireguard:nowhere/,
    break: () => use("no-image", "10.0.5.5"),
  },
  "no-node": {
    code: "pod-unscheduled",
    says: /Deployment flowgen-gateway\/no-node: 0\/1 nodes are available: 1 node\(s\) didn't match/,
    break: () => use("no-node", "10.0.6.5"),
  },
  "no-wireguard": {
    code: "wireguard-missing",
    says: /Deployment flowgen-gateway\/no-wireguard: no interface can be made: the node has no WireGuard/,
    break: () => use("no-wireguard", "10.0.8.5"),
  },
  "no-device": {
    code: "device-missing",
    says: /Deployment flowgen-gateway\/no-device: FailedMount: .*\/dev\/net\/tun/,
    break: async () => {
      execFileSync("mount", ["-t", "tmpfs", "tmpfs", "/dev/net"]);
      await use("no-device", "10.0.7.5");
    },
    restore: async () => execFileSync("umount", ["/dev/net"]),
  },
  "a target that refuses": {
    code: "target-refuses",
    name: "refused",
    says: /target 10\.0\.0\.6:5432 through wg0 of gateway flowgen-gateway\/flowgen-wireguard-gateway: the last .*ago:/,
    break: () => use(NODE_GATEWAY.name, "10.0.0.6", "refused"),
  },
  "a pod without its policy's label": {
    code: "network-policy",
    name: NODE_GATEWAY.name,
    says: /NetworkPolicy flowgen-gateway\/flowgen-wireguard-gateway: pod flowgen-wireguard-gateway-\S+, target 10\.0\.0\.5:5432:/,
    break: () =>
      kubectl([
        ...["label", "pods", "-nteam-a", `-lapp.kubernetes.io/instance=${NODE_GATEWAY.name}`],
        `target.flowgen.io/${NODE_GATEWAY.name}-`,
      ]),
  },
};

await kubectl(["create", "namespace", "team-a"]);
await installChart(controlPlane, config, []);
for (const { name } of gateways) if (name !== NODE_GATEWAY.name && name !== "silent") await secret(name, vpn);
await secret(NODE_GATEWAY.name, vpn, vpn.clientKeys.privateKey);
await secret("silent", dying, dying.clientKeys.privateKey);

t.test("all is well", async (t) => {
  await use(NODE_GATEWAY.name, "10.0.0.5");
  await use("silent", "10.0.1.5");
  for (const name of [NODE_GATEWAY.name, "silent"]) await firstRows(controlPlane, clientOf(name), 0, 1);
  await eventually("all is in order", 30_000, async () => (await check()).errors.length === 0 || undefined);
  const begun = performance.now();
  const { code, out } = await check();
  const took = performance.now() - begun;
  t.comment(`check took ${Math.round(took)} ms\n${out}`);
  t.equal(code, 0);
  t.ok(took < 5_000, `under 5 s: ${Math.round(took)} ms`);
  t.match(out, /\n0 errors, 0 warnings, \d+ in order, 1 not looked at\n$/, "only the nodes' devices are not looked at");
  t.match(await check(`deploy/${NODE_GATEWAY.name}`, "-n", "team-a"), { code: 0, errors: [] });
});

for (const [gateway, { name = gateway, code, says, ...broken }] of Object.entries(BREAKS))
  t.test(`${gateway}: ${code}`, async (t) => {
    await broken.break();
    try {
      const { exit, out, errors, first } = await verdict(name, code);
      t.comment(out);
      t.equal(exit, 1);
      t.match(first[0], new RegExp(`^× ${code}: `));
      t.match(first[0], says, "the object and the cause");
      const { fix, run }: CheckText = checkCodes[code];
      const [command = ""] = first.filter((line) => line.startsWith("    run: "));
      t.equal(command === "", run === undefined, `${command}: a command where the code has one`);
      t.notMatch(command, /NAME|KEY|WEBHOOK/, "with all names in it");
      t.strictSame(
        first.slice(1).filter((line) => line !== command),
        [`    fix: ${fix}`, `    see ${DOCS}#${code}`],
      );
      t.equal(new Set(errors).size, 1, "one cause");
    } finally {
      await broken.restore?.();
    }
  });
