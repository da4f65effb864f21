import { readFileSync } from "node:fs";
import t from "tap";
import { readConfig } from "../../../src/core/config/config.ts";

const configOf = (yaml: string) => {
  const read = readConfig(yaml);
  if (read.kind === "invalid") throw new Error(read.problems.join("\n"));
  return read.config;
};
const problemsOf = (yaml: string): string => {
  const read = readConfig(yaml);
  if (read.kind === "config") throw new Error("accepted");
  return read.problems.join("\n");
};
const fixture = (name: string): string =>
  readFileSync(new URL(`../../fixtures/config/${name}`, import.meta.url), "utf8");

t.test(
  "the flowgen chart's wireguardGateway block, pasted under gateways[], with its names and defaults",
  async (t) => {
    const [gateway] = configOf(fixture("chart-block.yaml")).gateways;
    t.match(gateway, {
      name: "flowgen-wireguard-gateway",
      enabled: true,
      image: { repository: "ghcr.io/linuxserver/wireguard", tag: "1.0.20250521-r1-ls105", pullPolicy: "IfNotPresent" },
      tunnels: [
        {
          name: "wg0",
          secretName: "wireguard-client-a",
          portForwards: [
            { name: "mssql", port: 1433 },
            { name: "postgres", servicePort: 15432 },
          ],
        },
      ],
      env: [
        { name: "LOG_CONFS", value: "false" },
        { name: "WIREGUARD_IMPLEMENTATION", value: "wireguard-go" },
      ],
      resources: { limits: { cpu: "200m", memory: "256Mi" }, requests: { cpu: "50m", memory: "64Mi" } },
      securityContext: { runAsUser: 0, runAsNonRoot: false, capabilities: { add: ["NET_ADMIN"] }, privileged: false },
      socat: {
        image: "alpine/socat:1.8.0.1",
        resources: { limits: { cpu: "50m", memory: "32Mi" }, requests: { cpu: "10m", memory: "16Mi" } },
      },
      nodeSelector: {},
      tolerations: [],
      affinity: {},
    });
    const [bare] = configOf("gateways: [{tunnels: [{name: wg0, secretName: a}]}]").gateways;
    const { tunnels: _, socat, resources, ...rest } = bare ?? {};
    const { tunnels: __, socat: pasted, resources: ___, ...same } = gateway ?? {};
    t.strictSame(
      { ...rest, env: gateway?.env },
      same,
      "the chart's defaults are the defaults, but for env that nothing reads",
    );
    t.equal(socat?.image, pasted?.image);
    t.strictSame(
      [resources, socat?.resources],
      [
        { limits: { memory: "256Mi" }, requests: { cpu: "50m", memory: "64Mi" } },
        { requests: { cpu: "10m", memory: "64Mi" } },
      ],
      "but for the limits that a shared gateway outgrows",
    );
  },
);

t.test("defaults and durations", async (t) => {
  const config = configOf(
    "gateways: [{retain: 7d, maxForwards: 5, image: {tag: x}, tunnels: [{name: wg0, secretName: a, portForwards: null}]}]",
  );
  t.match(config, {
    mode: "enforce",
    defaultGateway: "flowgen-wireguard-gateway",
    podSelector: undefined,
  });
  t.match(config.gateways[0], {
    retain: 7 * 86400,
    maxForwards: 5,
    forwarder: "auto",
    image: { repository: "ghcr.io/linuxserver/wireguard", tag: "x" },
    tunnels: [{ portForwards: { length: 0 } }],
  });
});

t.test("labels as Kubernetes takes them", async (t) => {
  for (const label of ["a: ''", "a.b/c_d: A.b-c_1", `${"a".repeat(63)}: ${"b".repeat(63)}`]) {
    const config = configOf(
      `podSelector: {matchLabels: {${label}}}\ngateways: [{tunnels: [{name: wg0, secretName: a}]}]`,
    );
    t.equal(Object.keys(config.podSelector?.matchLabels ?? {}).length, 1, label);
  }
});

t.test("a problem names its path, the reason and the nearest valid form", async (t) => {
  const tunnel = "{name: wg0, secretName: a}";
  const problems: Record<string, RegExp> = {
    "": /not a map/,
    "a: [": /^line 1: not a YAML document/,
    "gateways:\n  - name: a\n   x: [": /^line 3: not a YAML document/,
    "mod: audit\ngateways: [{zzzz: 1, tunnels: [{name: wg0, secretName: a, allowedTargets: ['10.0.0.5:0', 'http://a']}]}]":
      /allowedTargets\[0\]: "10.0.0.5:0": 0 is not a port.*\n.*a URL: write its host, or host:port\n.*unknown key "zzzz"\nunknown key "mod"; did you mean mode\?/,
    "mode: enforced\ngateways: [{tunnels: [{name: wg0, secretName: a}]}]":
      /^mode: "enforced" is none of enforce, audit$/m,
    [`podSelector: {matchLabels: [a]}\ngateways: [{tunnels: [${tunnel}]}]`]:
      /^podSelector\.matchLabels: not a map of labels$/m,
    [`podSelector: {matchLabels: {app: true}}\ngateways: [{tunnels: [${tunnel}]}]`]:
      /^podSelector\.matchLabels\.app: true is not a label's value: .*; write it as text, in quotes$/m,
    [`podSelector: {matchLabels: {app: flow gen, "x y/z": ok}}\ngateways: [{tunnels: [${tunnel}]}]`]:
      /^podSelector\.matchLabels\.app: "flow gen" is not a label's value: at most 63 of .*\n.*: "x y\/z" is not a label's key: a name of at most 63/m,
    [`podSelector: {matchLabels: {app: ${"x".repeat(64)}}}\ngateways: [{tunnels: [${tunnel}]}]`]:
      /is not a label's value/,
    [`podSelector: {matchLabels: {"${"x".repeat(254)}/app": x}}\ngateways: [{tunnels: [${tunnel}]}]`]:
      /is not a label's key/,
    "gateway: []": /unknown key "gateway"; did you mean gateways\?/,
    "mode: audit": /^gateways: is missing/m,
    "gateways: []": /^gateways: names no gateway$(?!\n)/m,
    [`gateways: [{tunnel: [${tunnel}]}]`]: /^gateways\[0\]: unknown key "tunnel"; did you mean tunnels\?/m,
    "gateways: [{tunnels: []}]": /^gateways\[0\]\.tunnels: names no tunnel$/m,
    "gateways: [{tunnels: [{name: wireguard-tunnel-0, secretName: a}]}]": /is not a tunnel's name: at most 15/,
    "gateways: [{tunnels: [{name: wg0}]}]":
      /^gateways\[0\]\.tunnels\[0\]\.secretName: is missing: the Secret with the tunnel's WireGuard config$/m,
    "gateways: [{tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.5/8]}]}]":
      /allowedTargets\[0\]: "10\.0\.0\.5\/8": the network's address is 10\.0\.0\.0\/8/,
    "gateways: [{tunnels: [{name: wg0, secretName: a, portForwards: [{name: x, port: 1, targetHost: 10.5, targetPort: 1}]}]}]":
      /targetHost: not a text|did you mean 10\.0\.0\.5/,
    "gateways: [{tunnels: [{name: wg0, secretName: a, portForwards: [{name: x, port: 1, targetHost: '10.5', targetPort: 1}]}]}]":
      /did you mean 10\.0\.0\.5/,
    "a: *x": /not a YAML document: .*alias/i,
    "a: 1\n---\nb: 2": /not a YAML document: .*multiple documents/,
    "gateways: [{tunnels: [{name: wg0, secretName: a, namespaces: []}]}]":
      /namespaces: names no namespace: leave it out for every namespace/,
    "gateways: [{tunnels: [{name: wg0, secretName: a, namespaces: [Team]}]}]": /"Team" is not the name of a namespace/,
    "gateways: [{tunnels: [{name: wg=0, secretName: a}]}]": /is not a tunnel's name/,
    "gateways: [{tunnels: [{name: wg0, secretName: 'My Secret!'}]}]": /is not the name of a Secret/,
    "gateways: [{env: [{name: A}, {name: A}], tunnels: [{name: wg0, secretName: a}]}]":
      /gateways\[0\]\.env\[1\]\.name: "A" is the name of env\[0\] already/,
    [`gateways: [{env: [{name: DRAIN, value: "60"}], tunnels: [${tunnel}]}]`]:
      /gateways\[0\]\.env\[0\]\.name: "DRAIN" is set by the webhook; remove it: a pod that ends must give/,
    [`gateways: [{env: [{name: FORWARDER}], tunnels: [${tunnel}]}]`]: /set by the webhook; write `forwarder:` instead/,
    "gateways: [{tunnels: [{name: wg0, secretName: a, portForwards: [{name: x, port: 1, targetHost: 169.254.169.254, targetPort: 1}]}]}]":
      /169\.254\.169\.254 is link-local/,
    [`gateways: [{retain: 1w, tunnels: [${tunnel}]}]`]: /"1w" is not a duration such as 30m, 24h or 7d/,
    [`gateways: [{forwarder: nftables, tunnels: [${tunnel}]}]`]: /"nftables" is none of auto, socat, kernel/,
    "gateways: [{tunnels: [{name: eth0, secretName: a}]}]":
      /tunnels\[0\]\.name: "eth0" is taken in every pod's network/,
    [`gateways: [{maxForwards: x, tunnels: [${tunnel}]}]`]: /"x" is not a number of forwards/,
    [`gateways: [{maxForwards: 501, tunnels: [${tunnel}]}]`]: /501 is not a number of forwards \(1-500\)/,
    [`gateways: [{maxForwards: 200, socat: {resources: {limits: {memory: 256Mi}}}, tunnels: [${tunnel}]}]`]:
      /^gateways\[0\]\.socat\.resources\.limits\.memory: 256Mi does not hold 200 forwards; write 314Mi or more, lower maxForwards, or leave the limit out$/m,
    [`gateways: [{podLabels: {flowgen.io/gateway: x}, podAnnotations: {target.flowgen.io/x: "true"}, annotations: {app.kubernetes.io/name: x}, tunnels: [${tunnel}]}]`]:
      /podAnnotations\.target\.flowgen\.io\/x: is set by the webhook; remove it\n.*podLabels.*\n.*annotations/m,
    [`gateways: [{userspace: yes, imageRegistry: "https://m", tunnels: [{name: wg0, secretName: a, mtu: 100, secretKey: a b}]}]`]:
      /mtu: 100 is not an MTU|Too small/,
    [`gateways: [{tunnels: [${tunnel}, ${tunnel}]}]`]: /tunnels\[1\]\.name: "wg0" is the name of tunnels\[0\] already/,
    [`gateways: [{tunnels: [${tunnel}]}, {tunnels: [${tunnel}]}]`]:
      /gateways\[1\]\.name: .* is the name of gateways\[0\] already/,
    [`defaultGateway: other\ngateways: [{tunnels: [${tunnel}]}]`]:
      /defaultGateway: "other" is none of the gateways: flowgen-wireguard-gateway/,
  };
  for (const [yaml, problem] of Object.entries(problems)) t.match(problemsOf(yaml), problem, yaml);
});

t.test("static forwards that exclude each other", async (t) => {
  const withForwards = (...forwards: string[]) =>
    `gateways: [{tunnels: [{name: wg0, secretName: a, portForwards: [${forwards.join(", ")}]}]}]`;
  const first = "{name: a, port: 1433, targetHost: 10.0.0.5, targetPort: 1433}";
  t.match(
    problemsOf(withForwards(first, "{name: a, port: 1434, targetHost: 10.0.0.6, targetPort: 1433}")),
    /portForwards\[1\]\.name: "a" is taken by the forward "wg0 a"/,
  );
  t.match(
    problemsOf(withForwards(first, "{name: b, port: 1433, targetHost: 10.0.0.6, targetPort: 1433}")),
    /portForwards\[1\]\.port: "1433" is taken/,
  );
  t.match(
    problemsOf(withForwards(first, "{name: b, port: 1434, servicePort: 1433, targetHost: 10.0.0.6, targetPort: 1433}")),
    /portForwards\[1\]\.servicePort: "1433"/,
  );
  t.match(
    problemsOf(withForwards(first, "{name: b, port: 1434, targetHost: 10.0.0.5, targetPort: 1433}")),
    /portForwards\[1\]\.targetHost: "wg0 10\.0\.0\.5 1433"/,
  );
});

t.test(
  "allowedAliases are names and patterns without a port; a gateway's name leaves room for its hosts' Services",
  async (t) => {
    const withTunnel = (more: string, gateway = ""): string =>
      `gateways: [{${gateway}tunnels: [{name: wg0, secretName: a, ${more}}]}]`;
    t.match(readConfig(withTunnel('allowedAliases: [erp.corp.example.com, "*.corp.example.com"]')), { kind: "config" });
    for (const alias of ["10.0.0.0/8", "10.0.0.5", "erp.corp.example.com:443", "a b"])
      t.match(readConfig(withTunnel(`allowedAliases: ["${alias}"]`)), {
        kind: "invalid",
        problems: [
          new RegExp(`^gateways\\[0\\]\\.tunnels\\[0\\]\\.allowedAliases\\[0\\]: "${alias.replace(/[.*/]/g, "\\$&")}"`),
        ],
      });
    t.match(readConfig(withTunnel("", `name: ${"g".repeat(55)}, `)), {
      problems: [/^gateways\[0\]\.name: longer than 54 characters: the names of hosts' Services begin with it$/],
    });
    t.match(readConfig(withTunnel("", "name: only, ")), { config: { defaultGateway: "only" } });
    t.match(readConfig(withTunnel("allowedTargets: [10.0.0.0/8/9]")), { problems: [/allowedTargets\[0\]/] });
  },
);
