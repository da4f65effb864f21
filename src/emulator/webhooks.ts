/** The API server's validation and defaults of a MutatingWebhookConfiguration (admissionregistration.k8s.io/v1). */
import { type Fields, filled } from "./fields.ts";

const webhooksOf = (content: Fields): readonly Fields[] => (content["webhooks"] ?? []) as readonly Fields[];
const clientOf = (webhook: Fields): Fields => (webhook["clientConfig"] ?? {}) as Fields;

/** The causes of a 422 in its webhooks, in the API server's words. */
export const webhookProblems = (content: Fields): readonly string[] =>
  webhooksOf(content).flatMap((webhook, index) => {
    const at = `webhooks[${index}]`;
    const { service, url } = clientOf(webhook);
    return [
      ...("sideEffects" in webhook
        ? []
        : [`${at}.sideEffects: Required value: must specify one of None, NoneOnDryRun`]),
      ...((service === undefined) === (url === undefined)
        ? [`${at}.clientConfig: Required value: exactly one of url or service is required`]
        : []),
      ...pathProblems(`${at}.clientConfig.service.path`, (service as Fields | undefined)?.["path"]),
      ...("admissionReviewVersions" in webhook ? [] : [`${at}.admissionReviewVersions: Required value`]),
    ];
  });

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** The parts of a Service's path are DNS names (k8s.io/apiserver `ValidateWebhookService`). */
const pathProblems = (at: string, path: unknown): readonly string[] => {
  if (typeof path !== "string" || path === "/") return [];
  const parts = path.split("/").slice(1);
  const wrong = parts.findIndex((part) => part.length > 253 || !SUBDOMAIN.test(part));
  return wrong < 0 ? [] : [`${at}: Invalid value: "${path}": segment[${wrong}]: a lowercase RFC 1123 subdomain`];
};

const hookDefaults: Fields = Object.freeze({
  failurePolicy: "Fail",
  matchPolicy: "Equivalent",
  namespaceSelector: Object.freeze({}),
  objectSelector: Object.freeze({}),
  reinvocationPolicy: "Never",
  timeoutSeconds: 10,
});

/** The content with the defaults of its webhooks; the content itself when none is missing. */
export const webhookDefaults = (content: Fields): Fields => {
  const webhooks = webhooksOf(content);
  const full = webhooks.map(hookWithDefaults);
  return full.every((webhook, index) => webhook === webhooks[index])
    ? content
    : Object.freeze({ ...content, webhooks: Object.freeze(full) });
};

const hookWithDefaults = (webhook: Fields): Fields => {
  const client = clientOf(webhook);
  const service = client["service"] as Fields | undefined;
  const full = service && filled(service, { port: 443 });
  const placed = full === service ? webhook : Object.freeze({ ...webhook, clientConfig: { ...client, service: full } });
  return filled(placed, hookDefaults);
};
