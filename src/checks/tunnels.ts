/**
 * A gateway's tunnels and forwards, by the metrics of its own pod. No command runs in the pod that holds the key, and
 * no target is connected to.
 */
import type { PlacedGateway } from "../core/config/config.ts";
import type { CheckCode } from "./codes.ts";
import { type Finding, findingsOf, type BrokenObject, type Seen } from "./finding.ts";

const say = findingsOf("gateway");

type Sample = { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** The samples of Prometheus' text format. Label values of a gateway hold no quotes. */
const samplesIn = (text: string): readonly Sample[] =>
  [...text.matchAll(/^flowgen_gateway_(\w+)\{([^}]*)\} (\S+)$/gm)].map(([, name = "", labels = "", value = ""]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = "", word = ""]) => [key, word])),
    value: Number(value),
  }));

const ago = (seconds: number): string =>
  seconds < 120
    ? `${Math.round(seconds)} s`
    : seconds < 7200
      ? `${Math.round(seconds / 60)} min`
      : `${Math.round(seconds / 3600)} h`;

/** The metrics of one pod of a gateway, and the facts to judge them by. */
export type TunnelSight = {
  readonly gateway: PlacedGateway;
  /** Whose tunnels they are, in findings. */
  readonly object: string;
  /** The pod's Deployment, whose logs say more. */
  readonly place: BrokenObject;
  /** The pod's metrics; `undefined`: it offers none. */
  readonly metrics: Seen<string | undefined>;
  /** Tunnels whose Secret is the fault already. */
  readonly faulty: ReadonlySet<string>;
  /** By tunnel, of the Secrets that were read: what the VPN server must know. */
  readonly publicKeys: ReadonlyMap<string, string | undefined>;
  /** Of these targets (`host:port`) the last connection is said, and why connections fail. */
  readonly targets: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: number;
};

/** Each tunnel's last handshake, why a forward takes no connection, and how a target's connections end. */
export const tunnelFindings = (sight: TunnelSight): readonly Finding[] => {
  const { gateway, object, metrics, faulty } = sight;
  if (metrics.kind === "unseen") return [say.unseen(object, `its tunnels' handshakes: ${metrics.why}`)];
  if (metrics.value === undefined) return [say.unseen(object, "its tunnels' handshakes: its pod offers no metrics")];
  const samples = samplesIn(metrics.value);
  const tunnels = gateway.tunnels
    .filter(({ name }) => !faulty.has(name))
    .map(({ name }) => ({ name, finding: tunnelFinding(name, object, samples, sight) }));
  const down = new Set([...faulty, ...tunnels.filter(({ finding }) => finding.level !== "ok").map(({ name }) => name)]);
  return [
    ...tunnels.map(({ finding }) => finding),
    ...refusals(samples, sight, down),
    ...connections(samples, down, sight),
  ];
};

const named = (samples: readonly Sample[], name: string): readonly Sample[] =>
  samples.filter((sample) => sample.name === name);

const tunnelFinding = (
  name: string,
  object: string,
  samples: readonly Sample[],
  { publicKeys, now, place }: TunnelSight,
): Finding => {
  const about = `tunnel ${name} of ${object}`;
  const own = samples.filter(({ labels }) => labels["tunnel"] === name);
  const handshakes = named(own, "tunnel_latest_handshake_timestamp_seconds").map(({ value }) => value);
  if (handshakes.length === 0) return say.fault("tunnel-unconfigured", about, undefined, place);
  const newest = Math.max(...handshakes);
  const last = `last handshake ${ago(now / 1000 - newest)} ago`;
  if (named(own, "tunnel_up").some(({ value }) => value === 1)) return say.ok(about, last);
  const places = named(own, "tunnel_peer_info").flatMap(({ labels: { address = NOWHERE } }) =>
    address === NOWHERE ? [] : [address],
  );
  if (newest > 0) return say.fault("tunnel-silent", about, [...places, last].join(", "));
  if (places.length === 0) return say.fault("endpoint-unresolved", about);
  const key = publicKeys.get(name);
  const asked = key === undefined ? "" : `, asked by the public key ${key}`;
  return say.fault("tunnel-unanswered", about, `no handshake with ${places.join(", ")}${asked}`);
};
/** An endpoint without an address, in the words of `wg`. */
const NOWHERE = "(none)";

const REFUSALS: Readonly<Record<string, CheckCode>> = {
  target: "target-outside-tunnel",
  name: "target-unresolved",
  listener: "listener-down",
};
/** Forwards that take no connection; `down`: tunnels that have a finding, from which that follows. */
const refusals = (
  samples: readonly Sample[],
  { object, place }: TunnelSight,
  down: ReadonlySet<string>,
): readonly Finding[] =>
  named(samples, "forward_refuses").flatMap(({ labels: { tunnel = "", target = "", reason = "" } }) =>
    down.has(tunnel)
      ? []
      : [
          say.fault(
            REFUSALS[reason] ?? "forward-refuses",
            `forward to ${target} through ${tunnel} of ${object}`,
            undefined,
            place,
          ),
        ],
  );

const FAILURES: Readonly<Record<string, CheckCode>> = {
  refused: "target-refuses",
  timeout: "target-silent",
  unreachable: "target-unreachable",
};
const connections = (
  samples: readonly Sample[],
  down: ReadonlySet<string>,
  { object, targets, now }: TunnelSight,
): readonly Finding[] =>
  named(samples, "forward_last_use_timestamp_seconds").flatMap(({ labels, value }) => {
    const { target = "", tunnel = "", port = "" } = labels;
    if (!targets.includes(target)) return [];
    const last = `${ago(now / 1000 - value)} ago`;
    const failing = named(samples, "forward_failing").find((each) => each.labels["port"] === port);
    // Through a tunnel that has a finding all connections fail.
    const code = down.has(tunnel) ? undefined : FAILURES[failing?.labels["cause"] ?? ""];
    if (failing === undefined || code === undefined)
      return [
        say.ok(`forward to ${target}`, value === 0 ? "no connection since its pod started" : `last connect ${last}`),
      ];
    const count = failing.value === 1 ? "the last connection" : `the last ${failing.value} connections`;
    return [say.fault(code, `target ${target} through ${tunnel} of ${object}`, `${count} failed, ${last}`)];
  });
