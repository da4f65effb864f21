// The findings of `check` about a gateway's tunnels and forwards, from the metrics of its pod (src/gateway/metrics.sh).
import t from "tap";
import { tunnelFindings, type TunnelSight } from "../../src/checks/tunnels.ts";
import { configOf, gatewayOf } from "../making.ts";

const gateway = gatewayOf(
  configOf(
    "gateways: [{name: gw, namespace: vpn, tunnels: [{name: wg0, secretName: a, allowedTargets: [10.0.0.5:1433]}, {name: wg1, secretName: b, allowedTargets: [10.1.0.0/16]}]}]",
  ),
);
const NOW = 2_000_000_000;
const sample = (name: string, labels: string, value: number): string =>
  `flowgen_gateway_${name}{gateway="vpn/gw",${labels}} ${value}\n`;
const peer = (tunnel: string, handshake: number, isUp: boolean, address = "192.0.2.1:51820"): string =>
  sample("tunnel_up", `tunnel="${tunnel}"`, isUp ? 1 : 0) +
  sample("tunnel_peer_info", `tunnel="${tunnel}",peer="1",address="${address}"`, 1) +
  sample("tunnel_latest_handshake_timestamp_seconds", `tunnel="${tunnel}",peer="1"`, handshake);
const GOOD = peer("wg1", NOW - 20, true);
const found = (metrics: string, more: Partial<TunnelSight> = {}) =>
  tunnelFindings({
    ...{
      gateway,
      object: "gateway vpn/gw",
      place: { namespace: "vpn", name: "gw" },
      metrics: { kind: "seen", value: metrics },
      faulty: new Set<string>(),
      publicKeys: new Map(),
    },
    ...{ targets: [], now: NOW * 1000, ...more },
  });
const faultsOf = (...args: Parameters<typeof found>) => found(...args).filter(({ level }) => level !== "ok");

t.test("a tunnel that is up", async (t) => {
  t.match(found(peer("wg0", NOW - 10, true) + GOOD), [
    { level: "ok", object: "tunnel wg0 of gateway vpn/gw", cause: "last handshake 10 s ago" },
    { level: "ok", object: "tunnel wg1 of gateway vpn/gw", cause: "last handshake 20 s ago" },
  ]);
});

t.test("a tunnel that is down: silent, never answered, no address, no interface", async (t) => {
  t.match(faultsOf(peer("wg0", NOW - 610, false) + GOOD), [
    { code: "tunnel-silent", object: /^tunnel wg0/, cause: /^192\.0\.2\.1:51820, last handshake 10 min ago: / },
  ]);
  t.match(
    faultsOf(peer("wg0", NOW - 40, false, "(none)") + GOOD),
    [{ code: "tunnel-silent", cause: /^last handshake 40 s ago: / }],
    "what it sends is not answered: the gateway knows before the handshake is old",
  );
  t.match(faultsOf(peer("wg0", 0, false) + GOOD), [{ code: "tunnel-unanswered", cause: /^no handshake with 192\.0/ }]);
  t.match(faultsOf(peer("wg0", 0, false) + GOOD, { publicKeys: new Map([["wg0", "abc="]]) }), [
    { cause: /^no handshake with 192\.0\.2\.1:51820, asked by the public key abc=: / },
  ]);
  t.match(faultsOf(peer("wg0", 0, false, "(none)") + GOOD), [{ code: "endpoint-unresolved" }]);
  const bare = sample("tunnel_up", 'tunnel="wg0"', 0) + sample("tunnel_mtu_bytes", 'tunnel="wg0"', 0);
  t.match(faultsOf(bare + GOOD), [{ code: "tunnel-unconfigured", object: /^tunnel wg0/ }]);
});

const forward = (name: string, more: string, value: number): string =>
  sample(name, `tunnel="wg0",target="10.0.0.5:1433",port="1433"${more}`, value);

t.test("a forward that refuses, through a tunnel that is up", async (t) => {
  const up = peer("wg0", NOW - 10, true) + GOOD;
  const down = peer("wg0", 0, false) + GOOD;
  const refuses = (reason: string): string => forward("forward_refuses", `,reason="${reason}"`, 1);
  const codes = { target: "target-outside-tunnel", name: "target-unresolved", listener: "listener-down" };
  for (const [reason, code] of Object.entries({ ...codes, tunnel: "forward-refuses" })) {
    t.match(faultsOf(up + refuses(reason)), [
      { code, object: "forward to 10.0.0.5:1433 through wg0 of gateway vpn/gw" },
    ]);
    t.match(faultsOf(down + refuses(reason)), { length: 1 }, `${reason}: it follows from the tunnel`);
    t.strictSame(faultsOf(GOOD + refuses(reason), { faulty: new Set(["wg0"]) }), [], `${reason}: from the Secret`);
  }
});

t.test("a target whose connections fail, where the check is about it", async (t) => {
  const up = peer("wg0", NOW - 10, true) + GOOD;
  const used = forward("forward_last_use_timestamp_seconds", "", NOW - 7300);
  const failing = (cause: string, count: number): string => forward("forward_failing", `,cause="${cause}"`, count);
  const targets = ["10.0.0.5:1433"];
  const last = (metrics: string, asked = targets) => found(metrics, { targets: asked }).slice(2);
  t.match(last(up + used), [{ level: "ok", object: "forward to 10.0.0.5:1433", cause: "last connect 2 h ago" }]);
  t.match(last(up + forward("forward_last_use_timestamp_seconds", "", 0)), [
    { level: "ok", cause: "no connection since its pod started" },
  ]);
  const codes = { refused: "target-refuses", timeout: "target-silent", unreachable: "target-unreachable" };
  for (const [cause, code] of Object.entries(codes))
    t.match(last(up + used + failing(cause, 3)), [
      {
        code,
        object: "target 10.0.0.5:1433 through wg0 of gateway vpn/gw",
        cause: /^the last 3 connections failed, 2 h/,
      },
    ]);
  t.match(last(up + used + failing("refused", 1)), [{ cause: /^the last connection failed, 2 h ago: / }]);
  t.match(last(up + used + failing("of the next version", 3)), [{ level: "ok" }]);
  t.strictSame(last(up + used + failing("refused", 3), []), []);
  const silent = peer("wg0", NOW - 40, false) + GOOD + used + failing("timeout", 3);
  t.match(faultsOf(silent, { targets }), [{ code: "tunnel-silent" }], "it follows from the tunnel");
  t.equal(faultsOf(silent, { targets }).length, 1);
});

t.test("metrics that are not there", async (t) => {
  t.match(found("", { metrics: { kind: "unseen", why: "forbidden" } }), [{ level: "unseen", cause: /forbidden/ }]);
  t.match(found("", { metrics: { kind: "seen", value: undefined } }), [{ level: "unseen", cause: /no metrics/ }]);
});
