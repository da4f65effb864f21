// Others' kinds, as far as the chart and deploy/knative use them. Not the real CustomResourceDefinitions: minimal ones
// of this test's own, written after their documentation. They check the form of this project's objects, and none of
// those projects' own rules.
import type { RenderedObject } from "../control-plane/helm.ts";

type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: "string" };
const texts: Schema = { type: "array", items: text };
const strings: Schema = { type: "object", additionalProperties: text };
const integer: Schema = { type: "integer" };
const flag: Schema = { type: "boolean" };
const object = (properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema => ({
  type: "object",
  properties,
  ...(required.length > 0 && { required }),
});
const list = (items: Schema): Schema => ({ type: "array", items });

const issuerRef = object({ name: text, kind: text, group: text }, ["name"]);
const endpoint = object({ port: text, interval: text, path: text, scheme: text }, ["port"]);
const requirement = object({ key: text, operator: text, values: texts }, ["key", "operator"]);
const selector = object({ matchLabels: strings, matchExpressions: list(requirement) });
const namespaceSelector = object({ any: flag, matchNames: texts });
const rule = object({ alert: text, expr: text, for: text, labels: strings, annotations: strings }, ["expr"]);

// The fields of a pod's spec that Knative permits; automountServiceAccountToken only as false.
const knativeContainer = object(
  {
    image: text,
    ports: list(
      object({ name: { type: "string", enum: ["http1", "h2c"] }, containerPort: integer }, ["containerPort"]),
    ),
    env: list(object({ name: text, value: text }, ["name"])),
    readinessProbe: object({ httpGet: object({ path: text }) }),
    securityContext: object({
      allowPrivilegeEscalation: flag,
      readOnlyRootFilesystem: flag,
      runAsNonRoot: flag,
      capabilities: object({ drop: texts }),
      seccompProfile: object({ type: text }, ["type"]),
    }),
    resources: object({ requests: strings, limits: strings }),
    volumeMounts: list(object({ name: text, mountPath: text, readOnly: flag }, ["name", "mountPath"])),
  },
  ["image"],
);
const knativeTemplate = object({
  metadata: object({ annotations: strings }),
  spec: object(
    {
      serviceAccountName: text,
      timeoutSeconds: integer,
      containerConcurrency: integer,
      enableServiceLinks: flag,
      containers: list(knativeContainer),
      volumes: list(object({ name: text, secret: object({ secretName: text }) }, ["name"])),
    },
    ["containers"],
  ),
});

const kinds: readonly (readonly [group: string, plural: string, kind: string, spec: Schema])[] = [
  [
    "cert-manager.io",
    "issuers",
    "Issuer",
    object({ selfSigned: object({}), ca: object({ secretName: text }, ["secretName"]) }),
  ],
  [
    "cert-manager.io",
    "certificates",
    "Certificate",
    object(
      {
        isCA: flag,
        commonName: { type: "string", maxLength: 64 },
        secretName: text,
        dnsNames: texts,
        ipAddresses: texts,
        usages: texts,
        duration: text,
        renewBefore: text,
        privateKey: object({ algorithm: text, size: integer, rotationPolicy: text }),
        issuerRef,
      },
      ["secretName", "issuerRef"],
    ),
  ],
  [
    "monitoring.coreos.com",
    "podmonitors",
    "PodMonitor",
    object({ selector, namespaceSelector, podMetricsEndpoints: list(endpoint) }, ["selector"]),
  ],
  [
    "monitoring.coreos.com",
    "servicemonitors",
    "ServiceMonitor",
    object({ selector, endpoints: list(endpoint) }, ["selector", "endpoints"]),
  ],
  [
    "monitoring.coreos.com",
    "prometheusrules",
    "PrometheusRule",
    object({ groups: list(object({ name: text, interval: text, rules: list(rule) }, ["name"])) }),
  ],
  ["serving.knative.dev", "services", "Service", object({ template: knativeTemplate }, ["template"])],
];

/** The definitions, to be applied before the project's objects. */
const crds: readonly RenderedObject[] = kinds.map(([group, plural, kind, spec]) => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `${plural}.${group}` },
  spec: {
    group,
    names: { kind, plural, singular: kind.toLowerCase() },
    scope: "Namespaced",
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: object({ spec }, ["spec"]) },
      },
    ],
  },
}));

/** Applies the definitions, and returns when objects of theirs can be made. */
export const applyCrds = async (
  kubectl: (args: readonly string[], input?: string) => Promise<string>,
): Promise<void> => {
  await kubectl(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: crds }));
  const names = crds.map(({ metadata }) => `crd/${metadata.name}`);
  await kubectl(["wait", "--for=condition=Established", ...names]);
};
