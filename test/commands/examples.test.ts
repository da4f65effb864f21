/** The examples fit each other and the program. */
import { readFileSync } from "node:fs";
import t from "tap";
import { parse, parseAllDocuments } from "yaml";
import { isFlowgenPod } from "../../src/core/config/flowgen-pods.ts";
import type { Pod } from "../../src/core/pod.ts";
import { configOf } from "../making.ts";

const example = (name: string): string => readFileSync(new URL(`../../examples/${name}`, import.meta.url), "utf8");
const config = configOf(example("webhook-config.yaml"));

t.test("the chart's values are what the first Deployment carries", (t) => {
  const { flowgen } = parse(example("flowgen-values.yaml")) as {
    flowgen: { podAnnotations: Record<string, string>; env: { name: string }[] };
  };
  const [document] = parseAllDocuments(example("flowgen-deployments.yaml"));
  const { template } = (document?.toJS() as { spec: { template: Pod } }).spec;
  t.strictSame(template.metadata.annotations, flowgen.podAnnotations);
  const env = template.spec.containers[0]?.env ?? [];
  t.strictSame(
    flowgen.env,
    env.filter(({ name }) => name !== "POD_NAME"),
    "the chart adds POD_NAME itself",
  );
  t.ok(isFlowgenPod(template.metadata.labels ?? {}, config));
  t.end();
});

t.test("the values of the webhook's chart hold the same config", (t) => {
  const values = parse(example("webhook-values.yaml")) as { config: unknown };
  t.strictSame(values, { config: parse(example("webhook-config.yaml")) as unknown });
  t.end();
});

t.test("every example Deployment is one that Kubernetes takes: its selector selects its pods", (t) => {
  for (const document of parseAllDocuments(example("flowgen-deployments.yaml"))) {
    const { spec } = document.toJS() as { spec: { selector: { matchLabels: object }; template: Pod } };
    t.match(spec.template.metadata.labels, spec.selector.matchLabels);
  }
  t.end();
});

t.test("the tunnel's Secret is the one that the config names", (t) => {
  const secret = parse(example("tunnel-secret.yaml")) as {
    metadata: { name: string; namespace: string };
    stringData: Record<string, string>;
  };
  const [gateway] = config.gateways;
  const [tunnel] = gateway?.tunnels ?? [];
  t.equal(config.mode, "enforce");
  t.equal(secret.metadata.name, tunnel?.secretName);
  t.equal(secret.metadata.namespace, gateway?.namespace);
  t.strictSame(Object.keys(secret.stringData), [`${tunnel?.name ?? ""}.conf`]);
  t.match(secret.stringData["wg0.conf"], /^\[Interface\]\nPrivateKey: /);
  t.end();
});
