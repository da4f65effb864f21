/** How the webhook was installed, for the commands of findings. */
import type { KubeObject } from "../../cluster/cluster.ts";
import type { Reader } from "../../cluster/reader.ts";
import type { InstallForm } from "../../checks/commands.ts";
import { isSeen } from "../../checks/finding.ts";
import { podSpecOf, webhooksOf } from "../../checks/objects.ts";
import { MANAGED_BY } from "../../core/names.ts";
import { getSeen, type Installation } from "./read.ts";

/** `file`: a config that is used instead of the installation's. */
export const readInstalled = async (
  reader: Reader,
  { name, namespace }: Installation,
  file: string | undefined,
): Promise<InstallForm> => {
  const [deployment, registration] = await Promise.all([
    getSeen(reader, "Deployment", namespace, name),
    getSeen(reader, "MutatingWebhookConfiguration", "", name),
  ]);
  const found = isSeen(deployment) ? deployment.value : undefined;
  const registered = isSeen(registration) ? registration.value : undefined;
  const config = file === undefined ? configMapOf(found) : ({ kind: "file", name: file } as const);
  const host = hostOf(registered);
  return {
    ...{ name, namespace, by: makerOf(found ?? registered), isElsewhere: isSeen(deployment) && found === undefined },
    ...(config !== undefined && { config }),
    ...(host !== undefined && { host }),
  };
};

/** Helm sets the annotations; `helm template` makes only the chart's label. */
const makerOf = (object: KubeObject | undefined): InstallForm["by"] => {
  const { annotations = {}, labels = {} } = object?.metadata ?? {};
  const name = annotations["meta.helm.sh/release-name"];
  const namespace = annotations["meta.helm.sh/release-namespace"];
  if (name !== undefined && namespace !== undefined) return { kind: "release", release: { name, namespace } };
  return { kind: labels[MANAGED_BY] === "Helm" ? "template" : "kubectl" };
};

const configMapOf = (deployment: KubeObject | undefined): InstallForm["config"] => {
  const volumes = deployment === undefined ? undefined : podSpecOf(deployment).volumes;
  const name = volumes?.find((volume) => volume.name === "config")?.configMap?.name;
  return name === undefined ? undefined : { kind: "ConfigMap", name };
};

const hostOf = (registration: KubeObject | undefined): string | undefined => {
  const url = registration && webhooksOf(registration).find(({ clientConfig }) => clientConfig.url)?.clientConfig.url;
  return url === undefined || !URL.canParse(url) ? undefined : new URL(url).hostname;
};
