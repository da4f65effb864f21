// deploy/kustomize is what the chart makes, by kubectl's own kustomize.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { kubectlWith } from "../lab/control-plane/kubectl.ts";
import { findPrograms } from "../lab/control-plane/programs.ts";
import { renderFiles, renderKustomize } from "./base.ts";
import { CHART, findHelm, type RenderedObject, parseManifests, RELEASE, template } from "../lab/control-plane/helm.ts";
import { root } from "../program.ts";

const home = await mkdtemp(join(tmpdir(), "flowgen-kustomize-"));
t.teardown(() => rm(home, { recursive: true, force: true }));
const helm = await findHelm(home);
const kubectl = kubectlWith(join(await findPrograms([]), "kubectl"), "", home);

t.test("the generated files are those that the chart makes now", async (t) => {
  for (const [path, content] of [...renderFiles(), ...(await renderKustomize(helm))])
    t.equal(await readFile(join(root, path), "utf8"), content);
});

/**
 * Without what only one of the two has: Helm's labels, its way to roll the pods, kustomize's name for the ConfigMap.
 */
const comparable = (manifests: readonly RenderedObject[]): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    manifests
      .map(
        (manifest) =>
          JSON.parse(
            JSON.stringify(manifest, helmless).replace(/-config-[a-z0-9]{10}"/g, '-config"'),
          ) as RenderedObject,
      )
      .map((manifest) => [`${manifest.kind} ${manifest.metadata.namespace ?? ""}/${manifest.metadata.name}`, manifest]),
  );
const helmless = (key: string, value: unknown): unknown => {
  if (["helm.sh/chart", "app.kubernetes.io/managed-by", "helm.sh/resource-policy", "checksum/config"].includes(key))
    return undefined;
  if (key === "config.yaml") return parseManifests(String(value));
  const isEmpty =
    key === "annotations" && Object.keys(value as object).every((each) => helmless(each, "") === undefined);
  return isEmpty ? undefined : value;
};

for (const [folder, mode] of [
  ["base", "enforce"],
  ["overlays/audit", "audit"],
] as const) {
  t.test(
    `${folder} is the chart in ${mode} mode, with a namespace for the webhook and roles for every gateway`,
    async (t) => {
      const { code, stdout, stderr } = await kubectl(["kustomize", join(root, "deploy/kustomize", folder)]);
      t.equal(code, 0, stderr);
      const { [`Namespace /${RELEASE}`]: own, ...rendered } = comparable(parseManifests(stdout));
      t.match(own, { metadata: { labels: { "pod-security.kubernetes.io/enforce": "restricted" } } });
      const chart = comparable(await template(helm, { config: { mode }, rbac: { byName: false } }));
      const config = `ConfigMap ${RELEASE}/${RELEASE}-config`;
      t.match(rendered[config], { data: (chart[config] as { data: object }).data });
      t.strictSame({ ...rendered, [config]: undefined }, { ...chart, [config]: undefined });
    },
  );
}

t.test(
  "helm template without --no-hooks makes no second registration that could be applied over the first",
  async (t) => {
    const { stdout } = await helm(["template", RELEASE, CHART]);
    const [, hook] = parseManifests(stdout).filter(({ kind }) => kind === "MutatingWebhookConfiguration");
    t.match(hook?.metadata, {
      uid: "00000000-0000-0000-0000-000000000000",
      annotations: { "helm.sh/hook": "pre-delete" },
    });
  },
);
