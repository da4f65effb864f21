/** How the API server reaches the webhook: the registration, and what became of a pod that it was asked about. */
import type { KubeObject } from "../cluster/cluster.ts";
import type { TriedPod } from "../cluster/reader.ts";
import type { Config } from "../core/config/config.ts";
import { annotation } from "../core/names.ts";
import type { CheckCode } from "./codes.ts";
import { type Finding, findingsOf, NO_OBJECT, type Seen } from "./finding.ts";
import { hasReady, isSliceOf, type RegisteredWebhook, webhooksOf } from "./objects.ts";
import { unaskedBecause } from "./unasked.ts";

/** The name of the webhook in the chart's registration. */
export const WEBHOOK = "pods.flowgen.io";
const say = findingsOf("reach");

/**
 * A trial pod for the webhook. It lacks flowgen's labels, and its annotation cannot be read. So by every config the
 * webhook answers with a warning or a refusal, and touches no gateway. It meets the Pod Security level "restricted".
 */
export const probePod = (namespace: string): KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { generateName: "flowgen-gateway-check-", namespace, annotations: { [annotation.targets]: "check" } },
  spec: {
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 65_534, seccompProfile: { type: "RuntimeDefault" } },
    containers: [
      {
        name: "check",
        image: "registry.k8s.io/pause:3.10",
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
      },
    ],
  },
});

/** The API server's words for a call that failed (net/http, crypto/x509), in the order in which they are looked for. */
const CAUSES: readonly (readonly [pattern: RegExp, code: CheckCode])[] = [
  [/service "[^"]*" not found/, "service-not-found"],
  [/no endpoints available/, "no-endpoints"],
  [
    /signed by unknown authority|certificate is not standards compliant|no certificates|unable to load root/i,
    "certificate-untrusted",
  ],
  [/certificate is valid for|cannot validate certificate for|not valid for any names/, "certificate-name"],
  [/certificate has expired or is not yet valid/, "certificate-expired"],
  [/this caller presents|client certificate/, "callers-refused"],
  [/could not find the requested resource/, "path-unknown"],
  [
    /an error on the server|responded with the status code|unable to handle the request|HTTP response to HTTPS client|malformed HTTP|does not look like a TLS handshake|response\.(uid|kind)|webhook response/,
    "answer-unusable",
  ],
];

/** Why the API server could not call the webhook, by the message that it gave to a controller. */
export const uncalledFinding = (message: string, object: string): Finding | undefined =>
  message.includes(`failed calling webhook "${WEBHOOK}"`) ? failedCall(message, { object }) : undefined;

/** `object` names the registration. */
type Called = {
  readonly object: string;
  readonly webhook?: RegisteredWebhook;
  /** The Service has no ready pod. */
  readonly isDeserted?: boolean;
  /** Where the trial pod would be. */
  readonly trialNamespace?: string;
};

/**
 * Why a call failed, as one finding. An answer at a Service without a ready pod comes from something else, and proves
 * nothing about the webhook.
 */
const failedCall = (message: string, { object, webhook, isDeserted = false }: Called): Finding => {
  const [, code] = CAUSES.find(([pattern]) => pattern.test(message)) ?? [undefined, "not-reached" as const];
  const isBare = code === "certificate-untrusted" && webhook !== undefined && isWithoutCa(webhook);
  const own = isBare ? "ca-bundle-missing" : code;
  const cause = isDeserted && code !== "service-not-found" ? "no-endpoints" : own;
  return say.fault(cause, object, message.replace(/^.*failed to call webhook: /, ""), NO_OBJECT);
};
const isWithoutCa = ({ clientConfig: { caBundle = "" } }: RegisteredWebhook): boolean => caBundle === "";

/** The finding of the trial pod's answer. */
const trialFinding = ({ code, message, warnings }: TriedPod, called: Called): Finding => {
  const { object, webhook, trialNamespace = "" } = called;
  if (message.includes(`failed calling webhook "${WEBHOOK}"`)) return failedCall(message, called);
  const isAnswered = message.includes(`admission webhook "${WEBHOOK}"`) || warnings.some(isOurs);
  if (isAnswered) return say.ok(object, "the API server reaches the webhook, which answers");
  if (code === 201) {
    const why = webhook === undefined ? [] : unaskedBecause(webhook, trialNamespace);
    return say.fault("not-asked", object, why.length > 0 ? why.join(", ") : undefined, NO_OBJECT);
  }
  return say.unseen(object, `the trial pod was refused before the webhook could answer: ${message}`);
};
const isOurs = (warning: string): boolean => warning.includes(annotation.targets) || warning.startsWith("audit:");

export type Reach = {
  /** The MutatingWebhookConfiguration's name, and the installation's namespace. */
  readonly name: string;
  readonly namespace: string;
  /** Where the trial pod would be. */
  readonly trialNamespace: string;
  readonly registration: Seen<KubeObject | undefined>;
  /** All registrations that there are. */
  readonly others: Seen<readonly KubeObject[]>;
  readonly trial: Seen<TriedPod>;
  readonly bindings: Seen<readonly KubeObject[]>;
  /** EndpointSlices of the installation's namespace. */
  readonly slices: Seen<readonly KubeObject[]>;
  readonly config: Config | undefined;
};

/** The findings of the registration and of the way to the webhook. */
export const reachFindings = (reach: Reach): readonly Finding[] => {
  const { name, registration, trial, slices, trialNamespace } = reach;
  const object = `MutatingWebhookConfiguration ${name}`;
  if (registration.kind === "unseen")
    return [say.unseen(object, registration.why), ...trialFindings(trial, { object })];
  const webhook = ownWebhook(registration.value);
  if (webhook === undefined) return [say.fault("registration-missing", object, elsewhere(reach), NO_OBJECT)];
  const { service, url } = webhook.clientConfig;
  const isBare = service !== undefined && isWithoutCa(webhook);
  const where =
    service === undefined
      ? (url ?? "").replace(/\/mutate.*/, "/mutate")
      : `Service ${service.namespace}/${service.name}`;
  return [
    ...(isBare ? [say.fault("ca-bundle-missing", object, undefined, NO_OBJECT)] : [say.ok(object, `calls ${where}`)]),
    ...(isBare
      ? []
      : trialFindings(trial, {
          ...{ object, webhook, trialNamespace },
          isDeserted: service !== undefined && isDeserted(service.name, slices),
        })),
    ...orderFindings(webhook, reach, object),
    ...policyFindings(reach),
  ];
};

const ownWebhook = (registration: KubeObject | undefined): RegisteredWebhook | undefined =>
  registration && webhooksOf(registration).find((each) => each.name === WEBHOOK);

/** An installation of another name. */
const elsewhere = ({ others }: Reach): string | undefined => {
  const found = others.kind === "seen" ? others.value.find((other) => ownWebhook(other) !== undefined) : undefined;
  const space = ownWebhook(found)?.clientConfig.service?.namespace;
  const more = space === undefined ? "" : ` --install-namespace ${space}`;
  return found && `there is one for --install-name ${found.metadata.name ?? ""}${more}`;
};

const isDeserted = (service: string, slices: Seen<readonly KubeObject[]>): boolean =>
  slices.kind === "seen" && !slices.value.some((slice) => isSliceOf(slice, service) && hasReady(slice));

const trialFindings = (trial: Seen<TriedPod>, called: Called): readonly Finding[] => [
  trial.kind === "seen"
    ? trialFinding(trial.value, called)
    : say.unseen(called.object, `whether the API server reaches the webhook: ${trial.why}`),
];

/** The order of webhooks is that of the registrations' names (apiserver `mutating/dispatcher.go`). */
const orderFindings = (
  webhook: RegisteredWebhook,
  { others, config, name }: Reach,
  object: string,
): readonly Finding[] => {
  const found: Finding[] = [];
  if (webhook.failurePolicy === "Ignore" && config?.mode === "enforce")
    found.push(say.fault("fails-open", object, undefined, NO_OBJECT));
  if (others.kind === "unseen") return [...found, say.unseen("other webhooks", others.why)];
  const later = others.value.filter((other) => (other.metadata.name ?? "") > name && webhooksOf(other).some(isForPods));
  if (webhook.reinvocationPolicy !== "IfNeeded" && later.length > 0)
    found.push(
      say.fault("reinvocation-never", object, later.map(({ metadata }) => metadata.name).join(", "), NO_OBJECT),
    );
  return found;
};
const isForPods = ({ rules = [] }: RegisteredWebhook): boolean =>
  rules.some(({ resources }) => resources.some((each) => ["pods", "*", "*/*", "pods/*"].includes(each)));

/** The ends of the names of the chart's policies that keep pods and gateways safe. */
const POLICIES = ["marks", "gateway-objects"] as const;
const policyFindings = ({ bindings, name }: Reach): readonly Finding[] => {
  if (bindings.kind === "unseen") return [say.unseen("ValidatingAdmissionPolicyBindings", bindings.why)];
  const names = bindings.value.map(({ metadata }) => metadata.name ?? "");
  const missing = POLICIES.filter((policy) => !names.some((each) => each.startsWith(name) && each.endsWith(policy)));
  return missing.map((policy) =>
    say.fault("policy-missing", `ValidatingAdmissionPolicyBinding ${name}-${policy}`, undefined, NO_OBJECT),
  );
};
