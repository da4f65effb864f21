// deploy/kustomize is made from the chart: the output of `helm template` for the default values, without Helm's own
// marks.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as prettier from "prettier";
import { Document, isMap, parseDocument } from "yaml";
import { CHART, type Helm, templateText } from "../lab/control-plane/helm.ts";
import { KUSTOMIZE } from "./sums.ts";
import { root } from "../program.ts";

/** A config that an admin writes beside the chart may name other gateways: the base does not list them in its roles. */
const BASE_VALUES = { rbac: { byName: false } };

const HELM_MARKS = [
  ["metadata", "labels", "helm.sh/chart"],
  ["metadata", "labels", "app.kubernetes.io/managed-by"],
  ["metadata", "annotations", "helm.sh/resource-policy"],
  // kustomize names the ConfigMap after its content, which rolls the pods as well
  ["spec", "template", "metadata", "annotations", "checksum/config"],
];

const withoutHelm = (document: Document.Parsed): Document.Parsed => {
  for (const path of HELM_MARKS.filter((each) => document.hasIn(each))) {
    document.deleteIn(path);
    const parent = path.slice(0, -1);
    const map = document.getIn(parent);
    if (isMap(map) && map.items.length === 0) document.deleteIn(parent);
  }
  return document;
};

/** The files of deploy/grafana in the chart: Helm reads no file outside a chart. */
export const renderFiles = (): ReadonlyMap<string, string> =>
  new Map(
    ["alerts.yaml", "dashboard.json"].map((name) => [
      join(CHART, "files", name).slice(root.length + 1),
      readFileSync(join(root, "deploy/grafana", name), "utf8"),
    ]),
  );

/** The generated files of the base and the audit overlay: path → content. */
export const renderKustomize = async (helm: Helm): Promise<ReadonlyMap<string, string>> => {
  const base = new Map<string, string>();
  for (const [, template = "", text = ""] of (await templateText(helm, BASE_VALUES)).matchAll(SOURCED)) {
    if (template === "config.yaml") continue;
    const before = base.has(template) ? `${base.get(template) ?? ""}---\n` : "";
    base.set(template, `${before}${withoutHelm(parseDocument(text)).toString({ lineWidth: 0 })}`);
  }
  const rendered = new Map([...base].map(([name, content]) => [join(KUSTOMIZE, "base", name), content]));
  rendered.set(join(KUSTOMIZE, "base/config.yaml"), configText("enforce"));
  rendered.set(join(KUSTOMIZE, "overlays/audit/config.yaml"), configText("audit"));
  const style = { ...(await prettier.resolveConfig(join(root, "package.json"))), parser: "yaml" };
  for (const [path, content] of rendered) rendered.set(path, await prettier.format(content, style));
  return rendered;
};

/** One document of what `helm template` prints: the file that it comes from, and its text. */
const SOURCED = /^# Source: .*\/templates\/(.*)\n([^]*?)(?=^---\n|(?![^]))/gm;

/** The default config as values.yaml writes it, comments and all. */
const configText = (mode: string): string => {
  const values = parseDocument(readFileSync(join(CHART, "values.yaml"), "utf8"));
  values.setIn(["config", "mode"], mode);
  return String(new Document(values.get("config")));
};
