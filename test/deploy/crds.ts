// Others' kinds, as far as the chart uses them. Not the real CustomResourceDefinitions: minimal ones of this test's own, written after their
// documentation. They say that the chart's objects are what we think they should be, and nothing about those projects' own rules.
type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: "string" };
const texts: Schema = { type: "array", items: text };
const strings: Schema = { type: "object", additionalProperties: text };
const object = (properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema => ({
  type: "object",
  properties,
  ...(required.length > 0 && { required }),
});
const list = (items: Schema): Schema => ({ type: "array", items });

const issuerRef = object({ name: text, kind: text, group: text }, ["name"]);
const endpoint = object({ port: text, interval: text, path: text, scheme: text }, ["port"]);
const selector = object({ matchLabels: strings });
const rule = object({ alert: text, expr: text, for: text, labels: strings, annotations: strings }, ["expr"]);

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
        isCA: { type: "boolean" },
        commonName: { type: "string", maxLength: 64 },
        secretName: text,
        dnsNames: texts,
        ipAddresses: texts,
        usages: texts,
        duration: text,
        renewBefore: text,
        privateKey: object({ algorithm: text, size: { type: "integer" }, rotationPolicy: text }),
        issuerRef,
      },
      ["secretName", "issuerRef"],
    ),
  ],
  [
    "monitoring.coreos.com",
    "podmonitors",
    "PodMonitor",
    object({ selector, podMetricsEndpoints: list(endpoint) }, ["selector"]),
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
];

/** The definitions, to be applied before the chart's objects. */
export const crds: readonly object[] = kinds.map(([group, plural, kind, spec]) => ({
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
