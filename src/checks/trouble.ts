/** Why a pod does not start, by what the scheduler, the kubelet and the gateway's init container say of it. */
import type { KubeObject } from "../cluster/cluster.ts";
import type { CheckCode } from "./codes.ts";
import type { Seen } from "./finding.ts";
import { type ContainerStatus, statusIn } from "./objects.ts";

export type Trouble = { readonly code: CheckCode; readonly detail: string };

/** The kubelet's reasons of a container whose image it does not have. */
const PULL: ReadonlySet<string> = new Set([
  ...["ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName"],
  ...["ImageInspectError", "RegistryUnavailable"],
]);
/** The line of init.sh where it cannot make a WireGuard interface (src/gateway/interface.sh). */
const NO_INTERFACE = /no interface can be made: .*/;
const DEVICE = "/dev/net/tun";

/**
 * Why a pod that is not ready does not start. `undefined`: all its containers run, so that they know why it is not
 * ready. `down`: the code where nothing more is known than that it is down. `events`: those of the pod.
 */
export const troubleOf = (
  pod: KubeObject,
  events: Seen<readonly KubeObject[]>,
  down: CheckCode,
): Trouble | undefined => {
  const { phase = "Unknown", conditions = [], containerStatuses = [], initContainerStatuses = [] } = statusIn(pod);
  const unscheduled = conditions.find(({ type, status }) => type === "PodScheduled" && status === "False");
  if (unscheduled) return { code: "pod-unscheduled", detail: unscheduled.message ?? "" };
  const all = [...initContainerStatuses, ...containerStatuses];
  const noInterface = NO_INTERFACE.exec(all.map(({ state }) => state?.terminated?.message ?? "").join("\n"));
  if (noInterface) return { code: "wireguard-missing", detail: noInterface[0] };
  const unpulled = all.find(({ state }) => PULL.has(state?.waiting?.reason ?? ""));
  if (unpulled) return { code: "image-unpulled", detail: textOf(unpulled) };
  const held = all.find(({ ready, state }) => !ready && (state?.waiting ?? state?.terminated) !== undefined);
  const isRunning = all.length > 0 && held === undefined;
  if (isRunning) return undefined;
  const failure = failureIn(events);
  if (failure?.includes(DEVICE)) return { code: "device-missing", detail: failure };
  return { code: down, detail: failure ?? (held === undefined ? `phase ${phase}` : textOf(held)) };
};

/** A container and the kubelet's words about it; of one that starts again and again also how it ended last. */
const textOf = ({ name, state, lastState }: ContainerStatus): string => {
  const now = state?.waiting ?? state?.terminated;
  const last = lastState?.terminated;
  const ended =
    last && `it ended with ${last.exitCode ?? 0}${last.message === undefined ? "" : `: ${last.message.trim()}`}`;
  return `container ${name}: ${[now?.reason, now?.message, ended].filter((text) => text !== undefined).join(": ")}`;
};

/** The newest Event that names what keeps the kubelet from starting the pod. */
const failureIn = (events: Seen<readonly KubeObject[]>): string | undefined => {
  if (events.kind === "unseen") return undefined;
  const failures = events.value.map((event) => event as unknown as Event).filter(({ reason }) => STOPS.test(reason));
  const last = failures.toSorted((a, b) => timeOf(a).localeCompare(timeOf(b))).at(-1);
  return last && `${last.reason}: ${last.message}`;
};
const STOPS = /^Failed(Mount|AttachVolume|CreatePodSandBox|MapVolume)$/;
type Event = {
  readonly reason: string;
  readonly message: string;
  readonly lastTimestamp?: string | null;
  readonly eventTime?: string | null;
};
const timeOf = ({ lastTimestamp, eventTime }: Event): string => lastTimestamp ?? eventTime ?? "";
