import t from "tap";
import { grantOf } from "../../src/core/grant.ts";
import { planPod } from "../../src/core/plan.ts";
import type { Pod } from "../../src/core/pod.ts";
import { configOf, podOf } from "../making.ts";

const config = configOf(`
gateways:
  - name: flowgen-wireguard-gateway
    namespace: flowgen-gateway
    tunnels:
      - {name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8", "*.corp.example.com"], namespaces: [team-a]}
      - {name: wg1, secretName: b, allowedTargets: ["10.1.0.0/16", "172.16.0.0/12"], portForwards: [{name: nas, port: 1445, servicePort: 445, targetHost: 192.168.1.9, targetPort: 445}]}
  - {name: own, tunnels: [{name: wg0, secretName: a, allowedTargets: ["10.0.0.0/8"]}]}
  - {name: gone, enabled: false, tunnels: [{name: wg0, secretName: a}]}
`);

const podWith = (
  annotations: Record<string, string>,
  labels: Record<string, string> = {},
  spec: Record<string, unknown> = {},
): Pod => {
  const pod = podOf(undefined, {}, annotations);
  return {
    metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, ...labels } },
    spec: { ...pod.spec, ...spec },
  };
};
const targets = (text: string, more: Record<string, string> = {}) => ({ "flowgen.io/private-targets": text, ...more });
const plan = (pod: Pod, namespace = "team-a", mode: "enforce" | "audit" = "enforce") =>
  planPod(pod, namespace, { ...config, mode });

t.test("skipped", async (t) => {
  t.match(plan(podWith({})), { kind: "skip", reason: "not-annotated", warnings: { length: 0 } });
  t.match(plan({ metadata: {}, spec: { containers: [] } }), { reason: "not-annotated" });
  t.match(plan(podWith(targets("a=10.0.0.5:1", { "kubernetes.io/config.mirror": "x" }))), { reason: "mirror-pod" });
  t.match(plan(podWith(targets("a=10.0.0.5:1"), { "app.kubernetes.io/component": "wireguard-gateway" })), {
    reason: "gateway-pod",
  });
  t.match(plan(podWith(targets("a=10.0.0.5:1", { "flowgen.io/mode": "disabled" }))), { reason: "disabled" });
  t.match(plan(podWith(targets("a=10.0.0.5:1"), { "app.kubernetes.io/name": "other", app: "other" })), {
    reason: "not-flowgen",
    warnings: [/does nothing: the pod lacks app\.kubernetes\.io\/name=flowgen or app=flowgen$/],
  });
});

t.test("flowgen's pods: the chart's, with nameOverride too, or those of the config's podSelector alone", async (t) => {
  const overridden = { "app.kubernetes.io/name": "flows" };
  const labelled = { app: "something" };
  for (const labels of [{}, overridden, labelled])
    t.match(plan(podWith(targets("a=10.0.0.5:1"), labels)), { kind: "plan" }, JSON.stringify(labels));
  const selecting = { ...config, podSelector: { matchLabels: { app: "flowgen", tier: "flows" } } };
  const pod = (labels: Record<string, string>) =>
    planPod(podWith(targets("a=10.0.0.5:1"), labels), "team-a", selecting);
  t.match(pod({ tier: "flows" }), { kind: "plan" });
  t.match(pod({}), { reason: "not-flowgen", warnings: [/the pod lacks app=flowgen,tier=flows$/] });
});

t.test("a pod may be stricter than the config, never laxer", async (t) => {
  const modes: [config: "enforce" | "audit", pod: string | undefined, effective: string][] = [
    ["enforce", undefined, "enforce"],
    ["enforce", "enforce", "enforce"],
    ["enforce", "audit", "audit"],
    ["audit", undefined, "audit"],
    ["audit", "enforce", "audit"],
    ["audit", "audit", "audit"],
  ];
  for (const [mode, wished, effective] of modes) {
    t.match(
      plan(podWith(targets("a=10.0.0.5:1", wished === undefined ? {} : { "flowgen.io/mode": wished })), "team-a", mode),
      { kind: "plan", mode: effective },
    );
  }
  t.match(plan(podWith(targets("a=10.0.0.5:1", { "flowgen.io/mode": "off" }))), {
    reason: "annotation-invalid",
    message: /flowgen\.io\/mode: "off" is none of enforce, audit, disabled/,
  });
  t.match(plan(podWith(targets("a=", { "flowgen.io/mode": "audit" }))), { kind: "reject", mode: "audit" });
  t.match(plan(podWith(targets("a=9.9.9.9:1", { "flowgen.io/mode": "audit" }))), {
    reason: "target-not-allowed",
    mode: "audit",
    message: /through .*\(allowed to namespace team-a: 10\.0\.0\.0\/8[^)]*\)/,
  });
  t.match(plan(podWith(targets("a=10.0.0.5:1", { "flowgen.io/mode": "off" })), "team-a", "audit"), { mode: "audit" });
});

t.test("a refused target: what the namespace may use, and the contact to ask", async (t) => {
  const refusal = (allowed: string, namespace = "team-a") => {
    const config = configOf(
      `contact: "#vpn"\ngateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, namespaces: [team-a], allowedTargets: ${allowed}}]}]`,
    );
    const planned = planPod(podOf("a=9.9.9.9:1"), namespace, config);
    return planned.kind === "reject" ? planned.message : "";
  };
  t.match(
    refusal("[10.0.0.0/8:1433, 10.0.0.5, '[fd00::/8]:5432', 'fd00::5', '*.corp.example.com', sql.example.com:1433]"),
    /\(allowed to namespace team-a: 10\.0\.0\.0\/8:1433, 10\.0\.0\.5, \[fd00::\/8\]:5432, fd00::5, \*\.corp\.example\.com, sql\.example\.com:1433\)/,
  );
  t.match(refusal("[10.0.0.0/8]"), /or ask the admin \(#vpn\) to add it to allowedTargets$/);
  t.match(refusal("[10.0.0.0/8]", "team-b"), /^namespace team-b may use no tunnel of /);
  const forOthers = configOf(
    "gateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, rules: [{namespaces: [team-b], allowedTargets: [10.0.0.5]}]}]}]",
  );
  t.match(planPod(podOf("a=9.9.9.9:1"), "team-a", forOthers), {
    reason: "target-not-allowed",
    message: /\(nothing is allowed to namespace team-a\)/,
  });
});

t.test("reserved marks on a pod that is not redirected", async (t) => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, k) => [`target.flowgen.io/${k}\u001b`, "true"]));
  t.match(plan(podWith({}, many)), { message: /\[target\.flowgen\.io\/0\\u001b\], .* and 90 more: the pod carries/ });
  const forged = { "target.flowgen.io/mssql": "true" };
  t.match(plan(podWith({}, forged)), { reason: "reserved", message: /metadata\.labels\[target\.flowgen\.io\/mssql\]/ });
  t.match(plan(podWith({ "flowgen.io/gateway-status": "{}" })), {
    reason: "reserved",
    message: /metadata\.annotations\[flowgen\.io\/gateway-status\]/,
  });
  t.match(plan(podWith(targets("a=10.0.0.5:1", { "flowgen.io/mode": "disabled" }), forged)), { reason: "reserved" });
  t.match(plan(podWith(targets("a=10.0.0.5:1"), { ...forged, "app.kubernetes.io/name": "other", app: "other" })), {
    reason: "reserved",
  });
  t.match(plan(podWith({}, { ...forged, "app.kubernetes.io/component": "wireguard-gateway" })), { reason: "reserved" });
  t.match(plan(podWith(targets("a=10.0.0.5:1"), forged)), { kind: "plan" });
  const audited = podWith(targets("a=10.0.0.5:1", { "flowgen.io/mode": "audit" }), forged);
  t.match(plan(audited), { reason: "reserved", mode: "enforce" }, "a pod with mode disabled may not bring marks");
  t.match(plan(audited, "team-a", "audit"), { kind: "plan", mode: "audit" }, "in audit mode such a pod gains nothing");
  t.match(plan(podWith({ "kubernetes.io/config.mirror": "x" }, forged)), { reason: "reserved" });
  t.match(plan(podWith({}, forged), "team-a", "audit"), { reason: "reserved", mode: "audit" });
});

t.test("the tunnel of a target", async (t) => {
  t.match(plan(podWith(targets("a=10.0.0.5:1, b=172.16.0.1:1, c=sql.corp.example.com:1, nas=192.168.1.9:445"))), {
    kind: "plan",
    gateway: { name: "flowgen-wireguard-gateway", namespace: "flowgen-gateway" },
    wants: [{ tunnel: "wg0" }, { tunnel: "wg1" }, { tunnel: "wg0" }, { tunnel: "wg1" }],
  });
  t.match(plan(podWith(targets("a=10.1.0.5:1"))), {
    reason: "tunnel-ambiguous",
    message: /\[0\]: 10\.1\.0\.5:1: wg0, wg1/,
  });
  t.match(plan(podWith(targets("a=10.1.0.5:1", { "flowgen.io/tunnel": "wg1" }))), { wants: [{ tunnel: "wg1" }] });
  t.match(
    plan(podWith(targets("- {targetHost: 10.1.0.5, targetPort: 1, tunnel: wg0}", { "flowgen.io/tunnel": "wg1" }))),
    { wants: [{ tunnel: "wg0" }] },
  );
  t.match(
    plan(podWith(targets("a=10.1.0.5:1")), "team-b"),
    { wants: [{ tunnel: "wg1" }] },
    "the other may not be used",
  );
  t.match(plan(podWith(targets("a=10.0.0.5:1")), "team-b"), {
    reason: "tunnel-namespace",
    message: /from namespace team-b through wg0/,
  });
  t.match(plan(podWith(targets("a=10.0.0.5:1", { "flowgen.io/tunnel": "wg9" }))), {
    reason: "tunnel-unknown",
    message: /^flowgen\.io\/tunnel: "wg9" is none of flowgen-wireguard-gateway's: wg0, wg1/,
  });
  t.match(plan(podWith(targets("- {targetHost: 10.0.0.5, targetPort: 1, tunnel: wg9}"))), {
    reason: "tunnel-unknown",
    message: /\[0\]\.tunnel: "wg9"/,
  });
  t.match(plan(podWith(targets("a=10.0.0.5:1, b=192.168.1.9:446"))), {
    reason: "target-not-allowed",
    message: /\[1\]: 192\.168\.1\.9:446 through wg0, wg1/,
  });
  t.match(plan(podWith(targets("a=169.254.169.254:80"))), {
    reason: "target-forbidden",
    message: /\[0\]: 169\.254\.169\.254 is link-local/,
  });
});

t.test("the gateway of a pod", async (t) => {
  t.match(plan(podWith(targets("a=10.0.0.5:1", { "flowgen.io/gateway": "own" })), "team-x"), {
    gateway: { name: "own", namespace: "team-x" },
  });
  t.match(plan(podWith(targets("a=10.0.0.5:1", { "flowgen.io/gateway": "gone" }))), {
    reason: "gateway-unknown",
    message: /"gone" is none of flowgen-wireguard-gateway, own/,
  });
  const disabled = { ...config, gateways: config.gateways.map((gateway) => ({ ...gateway, enabled: false })) };
  t.match(planPod(podWith(targets("a=10.0.0.5:1")), "team-a", disabled), {
    reason: "gateway-unknown",
    message: /^the config's defaultGateway/,
  });
});

t.test("a namespace without a tunnel is refused before its annotation is read", async (t) => {
  const shared = {
    ...config,
    gateways: config.gateways.map((gateway) => ({ ...gateway, tunnels: gateway.tunnels.slice(0, 1) })),
  };
  const asks = (namespace: string) => planPod(podWith(targets("neither YAML: nor: a list")), namespace, shared);
  t.match(asks("team-a"), { reason: "annotation-invalid" });
  t.match(asks("team-x"), {
    reason: "tunnel-namespace",
    message: /^namespace team-x may use no tunnel of flowgen-wireguard-gateway: /,
  });
});

t.test("a refusal is remembered as a grant is: equal wishes share one answer", async (t) => {
  const wish = { namespace: "team-a", gateway: undefined, tunnel: undefined };
  for (const targets of ["a=10.0.0.5:1", "a=192.0.2.1:1", "- {", "a=10.0.0.5:99999"]) {
    const first = grantOf({ ...wish, targets }, config);
    t.equal(grantOf({ ...wish, targets }, config), first, `${targets}: ${first.kind}`);
    t.not(grantOf({ ...wish, targets, namespace: "team-c" }, config), first, "another namespace has other rights");
    t.not(grantOf({ ...wish, targets }, { ...config }), first, "so may another config");
  }
});

t.test("keep-env has as many names as the targets' annotation has characters", async (t) => {
  const keeps = (length: number): Pod =>
    podWith(targets("a=10.0.0.5:1", { "flowgen.io/keep-env": "A".repeat(length) }));
  t.match(plan(keeps(16_384)), { kind: "plan" });
  t.match(plan(keeps(16_385)), {
    kind: "reject",
    reason: "annotation-invalid",
    message: "flowgen.io/keep-env: 16385 characters, at most 16384 are read",
  });
});

t.test("a pod that cannot resolve a Service gets a warning", async (t) => {
  const warned: Record<string, unknown>[] = [
    { dnsPolicy: "Default" },
    { dnsPolicy: "None" },
    { hostNetwork: true, dnsPolicy: "ClusterFirst" },
  ];
  for (const spec of warned)
    t.match(plan(podWith(targets("a=10.0.0.5:1"), {}, spec)), { warnings: [/cannot resolve the gateway/] });
  const led = "[{targetHost: db.corp.example.com, targetPort: 1, redirect: hostAlias}]";
  t.match(plan(podWith(targets(led), {}, { dnsPolicy: "None" })), { warnings: { length: 0 } }, "no name is asked for");
});

t.test("a pod on the node's network is served, with a warning about the gateway's NetworkPolicy", async (t) => {
  const spec = { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" };
  for (const text of ["a=10.0.0.5:1", "[{targetHost: db.corp.example.com, targetPort: 1, redirect: hostAlias}]"])
    t.match(plan(podWith(targets(text), {}, spec)), { kind: "plan", warnings: [/^hostNetwork: .*NetworkPolicy/] });
  t.match(plan(podWith(targets("a=10.0.0.5:1"), {}, {})), { warnings: { length: 0 } });
});

t.test(
  "ndots of two or less is warned of, for musl; not with a cluster domain, whose names need no search",
  async (t) => {
    const podOf = (value: string) =>
      podWith(targets("a=10.0.0.5:1"), {}, { dnsConfig: { options: [{ name: "timeout" }, { name: "ndots", value }] } });
    for (const value of ["1", "2"]) t.match(plan(podOf(value)), { warnings: [/ndots is \d: images on musl/] });
    t.match(plan(podOf("3")), { warnings: { length: 0 } });
    const read = planPod(podOf("1"), "team-a", { ...config, clusterDomain: "cluster.local" });
    t.match(read, { kind: "plan", warnings: { length: 0 } });
  },
);

t.test(
  "redirect: the entry's, else the config's; auto is hostAlias for names and for addresses with aliases",
  async (t) => {
    const text = `gateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8, "*.corp.example.com"], allowedAliases: [erp.corp.example.com]}]}]`;
    const wantsIn = (targetsText: string, redirect = "auto") => {
      const read = planPod(podWith(targets(targetsText)), "team-a", configOf(`redirect: ${redirect}\n${text}`));
      if (read.kind !== "plan") throw new Error(JSON.stringify(read));
      return read.wants.map((want) => [want.redirect, want.names.join(), want.needsService]);
    };
    const name = "- {targetHost: a.corp.example.com, targetPort: 1";
    const address = "- {targetHost: 10.0.0.5, targetPort: 1";
    const rows: [string, string, unknown[]][] = [
      [`${name}}`, "auto", ["hostAlias", "a.corp.example.com", true]],
      [`${name}}`, "env", ["env", "", false]],
      [`${name}, redirect: hostAlias}`, "env", ["hostAlias", "a.corp.example.com", true]],
      [`${name}, redirect: env}`, "auto", ["env", "", false]],
      [`${name}, hostEnv: A}`, "auto", ["env", "", false]],
      [`${address}}`, "auto", ["env", "", false]],
      [`${address}, aliases: [erp.corp.example.com]}`, "auto", ["hostAlias", "erp.corp.example.com", true]],
      [`${address}, aliases: [erp.corp.example.com]}`, "env", ["env", "erp.corp.example.com", true]],
      [`${address}, aliases: [erp.corp.example.com], hostEnv: A}`, "auto", ["env", "erp.corp.example.com", true]],
    ];
    for (const [entry, redirect, wanted] of rows)
      t.strictSame(wantsIn(entry, redirect), [wanted], `${entry} ${redirect}`);
    const twice = `${name}, redirect: hostAlias}\n${name.replace("Port: 1", "Port: 2")}, redirect: hostAlias}`;
    t.strictSame(new Set(wantsIn(twice).map(String)).size, 1, "one host, two ports");
  },
);

t.test("aliases must be granted, and one name stands for one host", async (t) => {
  const config = configOf(
    `gateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8], allowedAliases: ["*.corp.example.com"]}, {name: wg1, secretName: b, allowedTargets: [10.0.0.0/8]}]}]`,
  );
  const plan = (text: string) => planPod(podWith(targets(text)), "team-a", config);
  const entry = (host: string, tunnel: string, alias: string) =>
    `- {targetHost: ${host}, targetPort: 1, tunnel: ${tunnel}, aliases: [${alias}]}\n`;
  t.match(plan(entry("10.0.0.5", "wg0", "a.corp.example.com")), { kind: "plan" });
  t.match(plan(entry("10.0.0.5", "wg1", "a.corp.example.com")), {
    reason: "alias-not-allowed",
    message: /private-targets\[0\]\.aliases\[0\]: "a\.corp\.example\.com" through wg1/,
  });
  t.match(plan(entry("10.0.0.5", "wg0", "a.corp.example.com") + entry("10.0.0.6", "wg0", "a.corp.example.com")), {
    reason: "alias-conflict",
    message: /a\.corp\.example\.com would stand for wg0 10\.0\.0\.5 and for wg0 10\.0\.0\.6/,
  });
});

t.test("an alias that is the host of another target, which env hold: refused", async (t) => {
  const config = configOf(
    `{redirect: auto, gateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8, "*.corp.example.com"], allowedAliases: ["*.corp.example.com"]}]}]}`,
  );
  const alias = "- {targetHost: 10.0.0.5, targetPort: 1, aliases: [sql.corp.example.com]}\n";
  const plan = (...entries: readonly string[]) => planPod(podWith(targets(entries.join(""))), "team-a", config);
  const other = (more: string) => `- {name: o, targetHost: sql.corp.example.com, targetPort: 2${more}}\n`;
  const says = /o: sql\.corp\.example\.com would stand for wg0 10\.0\.0\.5 and for wg0 sql\.corp\.example\.com/;
  for (const more of [", redirect: env", ", hostEnv: SQL"]) {
    t.match(plan(alias, other(more)), { reason: "alias-conflict", message: says }, more);
    t.match(plan(other(more), alias), { reason: "alias-conflict", message: says }, `${more} first`);
  }
  t.match(plan(alias, other("")), { reason: "alias-conflict" }, "both by hostAliases");
  t.match(
    plan(other(""), other(", redirect: env").replace("o,", "p,").replace("2", "3")),
    { kind: "plan" },
    "one host",
  );
  t.match(plan(alias, other(", redirect: env").replace("sql.", "erp.")), { kind: "plan" }, "another name");
  const tunnels = ["wg0", "wg1"].map(
    (name) => `{name: ${name}, secretName: ${name}, allowedTargets: ["*.corp.example.com"]}`,
  );
  const both = configOf(`{redirect: auto, gateways: [{namespace: g, tunnels: [${tunnels.join()}]}]}`);
  const london = "- {name: london, targetHost: sql.corp.example.com, targetPort: 1, tunnel: wg0}\n";
  const paris = (more: string) => london.replace("london", "paris").replace("wg0", `wg1, redirect: env${more}`);
  const through = (more: string) => planPod(podWith(targets(london + paris(more))), "team-a", both);
  t.match(through(""), { reason: "alias-conflict", message: /paris: .* wg0 sql\..* wg1 sql\./ });
  t.match(through(", hostEnv: PARIS"), { kind: "plan" });
});

t.test("one address through two tunnels: refused, unless env or names say which is meant", async (t) => {
  const config = configOf(
    `gateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8], allowedAliases: ["*.corp.example.com"]}, {name: wg1, secretName: b, allowedTargets: [10.0.0.0/8]}]}]`,
  );
  const plan = (first: string, second: string) =>
    planPod(
      podWith(
        targets(
          `- {name: london, targetHost: 10.0.0.5, targetPort: 1, tunnel: wg0${first}}\n- {name: paris, targetHost: 10.0.0.5, targetPort: 1, tunnel: wg1${second}}\n`,
        ),
      ),
      "team-a",
      config,
    );
  t.match(plan("", ""), { reason: "host-twice", message: /paris: 10\.0\.0\.5 through wg0 and through wg1/ });
  t.match(plan("", ", hostEnv: PARIS"), { kind: "plan" });
  t.match(plan(", hostEnv: A", ", hostEnv: A"), {
    reason: "host-twice",
    message: /paris: A through wg0 and through wg1/,
  });
  t.match(plan(", aliases: [london.corp.example.com], redirect: hostAlias", ""), { kind: "plan" });
});

t.test(
  "a Service of its own: for a host whose port is not read, and for one that an admission gave such a Service",
  async (t) => {
    const config = configOf(
      "gateways: [{namespace: g, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.0/8]}]}]",
    );
    const needs = (env: Readonly<Record<string, string>>, status: object = {}) => {
      const pod = podOf("a=10.0.0.5:1433, b=10.0.0.6:1433", env, {
        "flowgen.io/gateway-status": JSON.stringify(status),
      });
      const plan = planPod(pod, "team-a", config);
      if (plan.kind !== "plan") throw new Error(JSON.stringify(plan));
      return plan.wants.map(({ needsService }) => needsService);
    };
    t.strictSame(needs({ A_URL: "mssql://10.0.0.5:1433" }), [false, false]);
    t.strictSame(needs({ A: '{"host": "10.0.0.5"}' }), [true, false]);
    const given = (address: string) => ({ format: 2, targets: { b: { target: "10.0.0.6:1433", address } } });
    t.strictSame(needs({}, given("flowgen-wireguard-gateway-10-0-0-6-a4b5a3ce.g.svc:1433")), [false, true]);
    t.strictSame(needs({}, given("other.g.svc:1433")), [false, false]);
  },
);
