// A gateway of several identities: which of its Deployments is broken, and why.
import t from "tap";
import { type GatewayPod, podsFindings, type PodSight } from "../../src/checks/pods.ts";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { MANAGED_BY, MANAGER } from "../../src/core/names.ts";
import { configOf, gatewayOf } from "../making.ts";

const gateway = gatewayOf(
  configOf(
    "gateways: [{name: gw, namespace: vpn, tunnels: [{name: wg0, secretNames: [key-a, key-b], allowedTargets: [10.0.0.0/8]}]}]",
  ),
);
const NOW = 2_000_000_000;
const deployment = (name: string, secretName: string, readyReplicas: number): KubeObject => ({
  ...{ apiVersion: "apps/v1", kind: "Deployment" },
  metadata: { name, namespace: "vpn", labels: { [MANAGED_BY]: MANAGER } },
  spec: { template: { spec: { volumes: [{ name: "tunnel-0", secret: { secretName } }] } } },
  status: { readyReplicas },
});
const metrics = (handshake: number, isUp: boolean): string =>
  [
    `tunnel_up{gateway="vpn/gw",tunnel="wg0"} ${isUp ? 1 : 0}`,
    `tunnel_peer_info{gateway="vpn/gw",tunnel="wg0",peer="1",address="192.0.2.1:51820"} 1`,
    `tunnel_latest_handshake_timestamp_seconds{gateway="vpn/gw",tunnel="wg0",peer="1"} ${handshake}`,
  ]
    .map((line) => `flowgen_gateway_${line}\n`)
    .join("");
const pod = (name: string, text: string, state: object = { running: {} }): GatewayPod => ({
  pod: {
    ...{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "vpn" } },
    status: { phase: "Running", containerStatuses: [{ name: "wireguard", ready: false, state }] },
  },
  events: { kind: "seen", value: [] },
  metrics: { kind: "seen", value: text },
});
const GOOD = pod("gw-7d9f4-x2x", metrics(NOW - 10, true));
const A = deployment("gw", "key-a", 1);
const found = (siblings: readonly KubeObject[], pods: readonly GatewayPod[], faulty: readonly string[] = []) =>
  podsFindings(
    {
      ...{ gateway, deployment: { kind: "seen", value: siblings[0] }, siblings: { kind: "seen", value: siblings } },
      pods: { kind: "seen", value: pods },
      publicKeys: new Map([["key-b/wg0.conf", "abc="]]),
    },
    { targets: [], now: NOW * 1000, faulty: new Set(faulty) },
    "gateway vpn/gw",
  );

t.test("both serve", async (t) => {
  const findings = found([A, deployment("gw-b", "key-b", 1)], [GOOD, pod("gw-b-5c8d7-y4y", metrics(NOW - 20, true))]);
  t.match(findings, [
    { level: "ok", object: "gateway vpn/gw", cause: "its 2 pods are ready" },
    { level: "ok", object: "tunnel wg0 of Deployment vpn/gw", cause: "last handshake 10 s ago" },
    { level: "ok", object: "tunnel wg0 of Deployment vpn/gw-b", cause: "last handshake 20 s ago" },
  ]);
});

t.test("one does not serve: it is named, with its own cause", async (t) => {
  const down = deployment("gw-b", "key-b", 0);
  const faults = (...args: Parameters<typeof found>) => found(...args).filter(({ level }) => level !== "ok");
  const silent = pod("gw-b-5c8d7-y4y", metrics(0, false));
  t.match(faults([A, down], [GOOD, silent]), [
    { code: "tunnel-unanswered", object: "tunnel wg0 of Deployment vpn/gw-b", cause: /public key abc=/ },
  ]);
  t.equal(faults([A, down], [GOOD, silent]).length, 1);
  const unpulled = pod("gw-b-5c8d7-y4y", "", { waiting: { reason: "ErrImagePull" } });
  t.match(faults([A, down], [GOOD, unpulled]), [{ code: "image-unpulled", object: "Deployment vpn/gw-b" }]);
  t.match(faults([A, down], [GOOD]), [
    { code: "sibling-down", object: "Deployment vpn/gw-b", cause: /^it has no pod: / },
  ]);
  t.match(faults([A], [GOOD]), [
    { code: "sibling-down", object: "Deployment vpn/gw-b", cause: /^it does not exist: / },
  ]);
  const idle = pod("gw-b-5c8d7-y4y", metrics(NOW - 10, true));
  t.match(faults([A, down], [GOOD, idle]), [{ code: "sibling-down", cause: /^its containers run: / }]);
  t.strictSame(faults([A, down], [GOOD, silent], ["key-b/wg0.conf"]), [], "its Secret is the finding");
  const starting = pod("gw-b-5c8d7-y4y", "", { waiting: { reason: "PodInitializing" } });
  t.match(faults([A, down], [GOOD, starting]), [{ code: "sibling-down", cause: /PodInitializing/ }]);
  t.strictSame(faults([A, down], [GOOD, starting], ["key-b/wg0.conf"]), [], "its Secret is the finding");
  t.match(faults([A, down], [GOOD, unpulled], ["key-b/wg0.conf"]), [{ code: "image-unpulled" }]);
  t.match(faults([A, down], [GOOD, idle], ["key-a/wg0.conf"]), [{ code: "sibling-down" }], "the other's Secret is not");
});

t.test("none serves", async (t) => {
  const findings = found([deployment("gw", "key-a", 0), deployment("gw-b", "key-b", 0)], []);
  t.match(findings, [
    { code: "gateway-down", object: "Deployment vpn/gw" },
    { code: "gateway-down", object: "Deployment vpn/gw-b" },
  ]);
});

t.test("pods that may not be read", async (t) => {
  const sight: PodSight = {
    gateway,
    siblings: { kind: "seen", value: [] },
    deployment: { kind: "seen", value: deployment("gw", "key-a", 0) },
    pods: { kind: "unseen", why: "forbidden" },
    publicKeys: new Map(),
  };
  const asked = { targets: [], now: 0, faulty: new Set<string>() };
  t.match(podsFindings(sight, asked, "gateway vpn/gw"), [
    { code: "gateway-down", object: "Deployment vpn/gw" },
    { level: "unseen", cause: /handshakes: forbidden/ },
    { code: "gateway-down", object: "Deployment vpn/gw-b" },
  ]);
});
