/** A workload that cannot reach its targets: from its annotation to the gateway's NetworkPolicy. */
import { type KubeObject, refOf } from "../cluster/cluster.ts";
import { type Admission, warningsOf } from "../core/admission.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { hasLabels } from "../core/config/flowgen-pods.ts";
import { readTable } from "../core/forwards/format.ts";
import { annotation, GATEWAY_LABEL } from "../core/names.ts";
import { readPod } from "../core/pod.ts";
import { isReason, reasons } from "../core/reasons.ts";
import { readStatus } from "../core/status.ts";
import { address, type Assignment } from "../core/target.ts";
import { type Finding, findingsOf, isSeen, NO_OBJECT, type Seen } from "./finding.ts";
import { admittedTo, dataOf, statusIn } from "./objects.ts";
import { uncalledFinding } from "./reach.ts";
import { troubleOf } from "./trouble.ts";

const say = findingsOf("workload");

export type WorkloadSight = {
  /** Kind, namespace and name. */
  readonly name: string;
  readonly namespace: string;
  /** The answer that a pod of the workload would get now; absent without the config. */
  readonly admission?: Admission;
  readonly isAnnotated: boolean;
  /** The value of flowgen.io/mode. */
  readonly mode?: string | undefined;
  /** Keys and values that resemble those that the webhook reads. */
  readonly nearMisses: readonly string[];
  /** The pods that there are. */
  readonly pods: Seen<readonly KubeObject[]>;
  /** Why its controller cannot make pods. */
  readonly failure: string | undefined;
};

/** The findings of the workload itself: annotation, decision, pods. */
export const workloadFindings = (sight: WorkloadSight): readonly Finding[] => {
  const { name, admission, isAnnotated, failure } = sight;
  const near = sight.nearMisses.map((miss) => say.fault("near-miss", name, miss));
  // Where a near miss is the cause, it alone is said, and is what keeps the pod from its targets.
  if (!isAnnotated)
    return near.length > 0
      ? near.map((miss) => ({ ...miss, level: "error" }))
      : [say.fault("workload-unannotated", name)];
  if (admission === undefined) {
    const failed = failureFinding(name, failure);
    return [...near, ...(failed ? [failed] : podFindings(sight))];
  }
  const decided = decisionFindings(name, admission, sight.mode);
  return [...near, ...decided, ...(decided[0]?.level === "ok" ? podFindings(sight) : [])];
};

/** The controller's message: the webhook's refusal with its code, or a call that failed. */
const failureFinding = (name: string, failure = ""): Finding | undefined => {
  const [, code = "", message = ""] =
    /admission webhook "pods\.flowgen\.io" denied the request: ([a-z-]+): (.*)/s.exec(failure) ?? [];
  return isReason(code) ? say.refused(code, name, message) : uncalledFinding(failure, name);
};

const decisionFindings = (
  name: string,
  { outcome, reason, message = "", assignments, warnings }: Admission,
  mode: string | undefined,
): readonly Finding[] => {
  if (reason === "api-error" || reason === "deadline") return [say.unseen(name, `what a pod of it gets: ${message}`)];
  if (outcome === "reject" || outcome === "fail") return [say.refused(reason, name, message)];
  const text = reasons[reason];
  if (outcome === "skip" && reason !== "unchanged")
    return [say.refused(reason, name, [...warningsOf({ warnings }), text.says].join(": "))];
  // A refusal of enforce mode is named beside the mode, as a warning: it refuses nothing now.
  if (outcome === "audit")
    return [
      say.fault("audit-mode", name, undefined, mode === undefined ? NO_OBJECT : undefined),
      ...(message === "" ? [] : [{ ...say.refused(reason, name, message), level: "warning" } as const]),
    ];
  const list = assignments.map(
    ({ target, host, port }) => `${address(target.host, target.port)} at ${address(host, port)}`,
  );
  return [
    say.ok(name, `a pod of it reaches ${list.join(", ")}`),
    ...warningsOf({ warnings }).map((warning) => say.fault("pod-warning", name, warning)),
  ];
};

const podFindings = ({ name, namespace, pods, failure, admission }: WorkloadSight): readonly Finding[] => {
  if (pods.kind === "unseen") return [say.unseen(`pods of ${name}`, pods.why)];
  if (pods.value.length === 0)
    return [failureFinding(name, failure) ?? say.fault("workload-without-pod", name, failure, { namespace, name: "" })];
  return together(pods.value.map((pod) => podFinding(pod, admission?.assignments)));
};

/** Pods of which the same is said are one finding, with one command for all of them. */
const together = (findings: readonly Finding[]): readonly Finding[] =>
  [...Map.groupBy(findings, ({ code, cause }) => `${code ?? ""} ${cause}`).values()].flatMap(([first, ...others]) => {
    if (first === undefined || others.length === 0) return first ?? [];
    const names = others.map(({ object }) => object.replace(/^.*\//, ""));
    const own = first.object.replace(/^.*\//, "");
    const run = first.run?.replace(own, [own, ...names].join(" "));
    const more = others.length === 1 ? names[0] : `${others.length} more`;
    return [{ ...first, object: `${first.object} and ${String(more)}`, ...(run !== undefined && { run }) }];
  });

const UNKNOWN = "workload-without-pod";
/** One pod: whether it was redirected, to what the gateway gives now, and whether it runs. */
const podFinding = (object: KubeObject, assignments: readonly Assignment[] | undefined): Finding => {
  const about = `Pod ${object.metadata.namespace}/${object.metadata.name ?? ""}`;
  const { annotations, labels } = object.metadata;
  if (annotations?.[annotation.status] === undefined || labels?.[GATEWAY_LABEL] === undefined)
    return say.fault("pod-not-redirected", about, undefined, refOf(object));
  const read = readPod(object);
  const status = read.kind === "pod" ? readStatus(read.pod) : undefined;
  const held = status?.kind === "status" ? status.targets : [];
  const stale = (assignments ?? []).filter((each) => isStale(each, held));
  if (stale.length > 0)
    return say.fault(
      "pod-outdated",
      about,
      stale.map(({ target }) => address(target.host, target.port)).join(", "),
      refOf(object),
    );
  const { phase = "Unknown" } = statusIn(object);
  const trouble = phase === "Pending" ? troubleOf(object, { kind: "seen", value: [] }, UNKNOWN) : undefined;
  // A pod that is only not there yet is in order.
  if (trouble !== undefined && trouble.code !== UNKNOWN) return say.fault(trouble.code, about, trouble.detail);
  const list = assignments === undefined ? held.map(({ target, address: at }) => ` ${target} at ${at},`).join("") : "";
  return say.ok(about, `redirected,${list} phase ${phase}`);
};

const isStale = (
  { target, addresses }: Assignment,
  held: readonly { readonly target: string; readonly address: string }[],
) => {
  const own = held.find((each) => each.target === address(target.host, target.port));
  return own === undefined || !addresses.includes(own.address);
};

/** Whether one of the gateway's NetworkPolicies admits the pods to each of their targets. */
export const policyFindings = (
  gateway: PlacedGateway,
  policies: readonly Seen<KubeObject | undefined>[],
  table: Seen<KubeObject | undefined>,
  pods: Seen<readonly KubeObject[]>,
  assignments: readonly Assignment[],
): readonly Finding[] => {
  const about = `NetworkPolicy ${gateway.namespace}/${gateway.name}`;
  const unseen = policies.find((policy) => policy.kind === "unseen");
  if (unseen) return [say.unseen(about, unseen.why)];
  const found = policies.flatMap((policy) => (isSeen(policy) && policy.value ? [policy.value] : []));
  // That there is none is a finding of the gateway.
  if (found.length === 0) return [];
  const read = isSeen(table) && table.value ? readTable(dataOf(table.value)["table.json"] ?? "", about) : undefined;
  if (read?.kind !== "table" || pods.kind === "unseen")
    return [say.unseen(about, "the table or the pods were not read")];
  // Of a pod that was not redirected that is the finding.
  const redirected = pods.value.filter(({ metadata }) => metadata.labels?.[GATEWAY_LABEL] !== undefined);
  const shut = redirected.flatMap(({ metadata: { namespace, name = "", labels = {} } }) =>
    assignments.flatMap(({ forward, target }) => {
      const port = read.table.forwards.find((each) => each.name === forward)?.listenPort ?? 0;
      const isIn = found.flatMap((policy) => admittedTo(policy, port)).some((wanted) => hasLabels(labels, wanted));
      return isIn
        ? []
        : [
            say.fault("network-policy", about, `pod ${name}, target ${address(target.host, target.port)}`, {
              namespace,
              name,
            }),
          ];
    }),
  );
  return shut.length > 0 ? shut : [say.ok(about, "admits the pods to their targets")];
};
