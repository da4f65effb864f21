/**
 * A gateway's tunnels and forwards, by the metrics of its own pod. No command runs in the pod that holds the key, and
 * no target is connected to.
 */
import type { PlacedGateway } from "../core/config/config.ts";
import { type Finding, findingsOf, type Seen } from "./finding.ts";

const say = findingsOf("gateway");

type Sample = { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** The samples of Prometheus' text format. Label values of a gateway hold no quotes. */
const samplesIn = (text: string): readonly Sample[] =>
  [...text.matchAll(/^flowgen_gateway_(\w+)\{([^}]*)\} (\S+)$/gm)].map(([, name = "", labels = "", value = ""]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = "", word = ""]) => [key, word])),
    value: Number(value),
  }));

/**
 * A handshake is made every two minutes while there is traffic or a keepalive; the gateway gives a peer up after this,
 * in seconds.
 */
const SILENT_S = 180;

const ago = (seconds: number): string =>
  seconds < 120
    ? `${Math.round(seconds)} s`
    : seconds < 7200
      ? `${Math.round(seconds / 60)} min`
      : `${Math.round(seconds / 3600)} h`;

/**
 * The age of each tunnel's newest handshake, and why a forward refuses. `targets`: of these the last connect is said.
 * `now`: milliseconds since 1970.
 */
export const tunnelFindings = (
  gateway: PlacedGateway,
  metrics: Seen<string | undefined>,
  targets: readonly string[],
  now: number,
): readonly Finding[] => {
  const object = `gateway ${gateway.namespace}/${gateway.name}`;
  if (metrics.kind === "unseen") return [say.unseen(object, `its tunnels' handshakes: ${metrics.why}`)];
  if (metrics.value === undefined) return [say.unseen(object, "its tunnels' handshakes: its pod offers no metrics")];
  const samples = samplesIn(metrics.value);
  const of = (name: string): readonly Sample[] => samples.filter((sample) => sample.name === name);
  const age = (seconds: number): number => now / 1000 - seconds;
  const tunnels = gateway.tunnels.map(({ name }) => {
    const about = `tunnel ${name} of ${object}`;
    const newest = Math.max(
      0,
      ...of("tunnel_latest_handshake_timestamp_seconds")
        .filter(({ labels }) => labels["tunnel"] === name)
        .map(({ value }) => value),
    );
    if (newest === 0) return say.fault("tunnel-silent", about, "it never had one");
    const text = `last handshake ${ago(age(newest))} ago`;
    return age(newest) > SILENT_S ? say.fault("tunnel-silent", about, text) : say.ok(about, text);
  });
  const refusing = of("forward_refuses").map(({ labels: { tunnel = "", target = "", reason = "" } }) =>
    say.fault("forward-refuses", `forward to ${target} through ${tunnel} of ${object}`, `reason ${reason}`),
  );
  const uses = of("forward_last_use_timestamp_seconds").flatMap(({ labels: { target = "" }, value }) =>
    targets.includes(target)
      ? [
          say.ok(
            `forward to ${target}`,
            value === 0 ? "no connection since its pod started" : `last connect ${ago(age(value))} ago`,
          ),
        ]
      : [],
  );
  return [...tunnels, ...refusing, ...uses];
};
