/** `check` of an installation, and `check --pre` before there is one. */
import type { Reader, Right } from "../../cluster/reader.ts";
import { certificateFindings, imageFindings } from "../../checks/serving.ts";
import { type AskedRight, nodeFindings, rightFindings, versionFindings } from "../../checks/cluster.ts";
import { configFindings, invalidConfig } from "../../checks/config.ts";
import { type Finding, findingsOf, NO_OBJECT, type Seen } from "../../checks/finding.ts";
import { gatewayFindings, orphanFindings } from "../../checks/gateway.ts";
import { sharedKeyFindings } from "../../checks/identities.ts";
import { podSpecOf, podSelectorOf, statusIn } from "../../checks/objects.ts";
import { type Trouble, troubleOf } from "../../checks/trouble.ts";
import type { KubeObject } from "../../cluster/cluster.ts";
import { reachFindings } from "../../checks/reach.ts";
import { type Config, readConfig } from "../../core/config/config.ts";
import { version } from "../../files.ts";
import {
  gatewayRights,
  getSeen,
  type Installation,
  installRights,
  listSeen,
  readEvents,
  readGateways,
  readInstalledConfig,
  readReach,
  seen,
  seenGateways,
  servingRights,
  soon,
} from "./read.ts";

import { readGatewaySight } from "./gateway.ts";

/** A config's text, and what findings call it. */
export type ConfigText = { readonly text: string; readonly from: string };
type ConfigCheck = { readonly config: Config | undefined; readonly findings: readonly Finding[] };

/** The config that is in force, with its findings. */
export const checkConfig = ({ text, from }: ConfigText): ConfigCheck => {
  const reading = readConfig(text);
  return reading.kind === "config"
    ? { config: reading.config, findings: configFindings(reading.config, from) }
    : { config: undefined, findings: invalidConfig(reading.problems, from) };
};

/** The config of a file, or else of the installation. */
export const readConfigCheck = async (
  reader: Reader,
  installation: Installation,
  file: ConfigText | undefined,
): Promise<ConfigCheck> => {
  if (file !== undefined) return checkConfig(file);
  const deployment = await getSeen(reader, "Deployment", installation.namespace, installation.name);
  const found = await readInstalledConfig(reader, installation, deployment);
  const say = findingsOf("config");
  const where = `config of ${installation.namespace}/${installation.name}`;
  if (found.kind === "unseen") return { config: undefined, findings: [say.unseen(where, found.why)] };
  if (found.value === undefined)
    return { config: undefined, findings: [say.fault("config-missing", where, undefined, installation)] };
  return checkConfig(found.value);
};

/** Each right is asked for once: the gateways of a namespace need the same ones. */
const asked = (reader: Reader, user: string | undefined, rights: readonly Right[]): Promise<readonly AskedRight[]> => {
  const different = new Map(rights.map((right) => [JSON.stringify(right), right] as const));
  return Promise.all(
    [...different.values()].map(async (right) => ({ right, isGranted: await seen(reader.may(user, right, soon())) })),
  );
};

/** Everything that is installed. `trialNamespace`: where a pod is tried. */
export const checkInstallation = async (
  reader: Reader,
  installation: Installation,
  trialNamespace: string,
  file: ConfigText | undefined,
): Promise<readonly Finding[]> => {
  const { name, namespace } = installation;
  const [{ config, findings }, deployment, secret, versionSeen, nodes, gateways] = await Promise.all([
    readConfigCheck(reader, installation, file),
    getSeen(reader, "Deployment", namespace, name),
    getSeen(reader, "Secret", namespace, `${name}-tls`),
    seen(reader.version(soon())),
    listSeen(reader, "Node"),
    readGateways(reader),
  ]);
  const placed = config === undefined ? [] : seenGateways(config, gateways);
  const account =
    (deployment.kind === "seen" && deployment.value && podSpecOf(deployment.value).serviceAccountName) || name;
  const user = `system:serviceaccount:${namespace}:${account}`;
  const [trouble, reach, sights, rights] = await Promise.all([
    readTrouble(reader, deployment),
    readReach(reader, installation, trialNamespace, config),
    Promise.all(placed.map((gateway) => readGatewaySight(reader, gateway))),
    asked(reader, user, [...servingRights(installation, deployment), ...placed.flatMap(gatewayRights)]),
  ]);
  const served = imageFindings(deployment, version, installation, trouble);
  const isDown = served.some(({ level }) => level === "error");
  return [
    ...versionFindings(versionSeen),
    ...nodeFindings(nodes),
    ...findings,
    ...served,
    // That the API server reaches no pod follows from a Deployment that has none.
    ...reachFindings(reach).filter(({ code }) => !isDown || code !== "no-endpoints"),
    ...certificateFindings(secret, `Secret ${namespace}/${name}-tls`, Date.now()),
    ...rightFindings(`ServiceAccount ${namespace}/${account}`, rights, "right-of-webhook", installation),
    ...sights.flatMap((sight) => gatewayFindings(sight, [], Date.now())),
    ...sharedKeyFindings(sights),
    ...orphanFindings(gateways, config, placed),
  ];
};

/** Why the webhook's pods do not start, where none is ready. */
const readTrouble = async (reader: Reader, deployment: Seen<KubeObject | undefined>): Promise<Trouble | undefined> => {
  if (deployment.kind === "unseen" || deployment.value === undefined) return undefined;
  const labels = podSelectorOf(deployment.value);
  if (labels === undefined || (statusIn(deployment.value).readyReplicas ?? 0) > 0) return undefined;
  const pods = await listSeen(reader, "Pod", deployment.value.metadata.namespace, labels);
  const [pod] = pods.kind === "seen" ? pods.value : [];
  return pod && troubleOf(pod, await readEvents(reader, pod), "no-endpoints");
};

/** The findings before an installation: `check --pre`. */
export const checkBefore = async (
  reader: Reader,
  installation: Installation,
  file: ConfigText | undefined,
): Promise<readonly Finding[]> => {
  const [versionSeen, nodes, registration, rights, gateways]: [
    Seen<string>,
    Awaited<ReturnType<typeof listSeen>>,
    Awaited<ReturnType<typeof getSeen>>,
    readonly AskedRight[],
    Awaited<ReturnType<typeof listSeen>>,
  ] = await Promise.all([
    seen(reader.version(soon())),
    listSeen(reader, "Node"),
    getSeen(reader, "MutatingWebhookConfiguration", "", installation.name),
    asked(reader, undefined, installRights(installation)),
    readGateways(reader),
  ]);
  const { config, findings } = file === undefined ? { config: undefined, findings: [] } : checkConfig(file);
  const sights = await Promise.all(
    (config === undefined ? [] : seenGateways(config, gateways)).map((gateway) => readGatewaySight(reader, gateway)),
  );
  const say = findingsOf("reach");
  const object = `MutatingWebhookConfiguration ${installation.name}`;
  const isThere = registration.kind === "seen" && registration.value !== undefined;
  return [
    ...versionFindings(versionSeen),
    ...nodeFindings(nodes),
    ...rightFindings("you", rights, "right-to-install", installation),
    ...(registration.kind === "unseen" ? [say.unseen(object, registration.why)] : []),
    ...(isThere ? [say.fault("installed-already", object, undefined, NO_OBJECT)] : []),
    ...findings,
    // The chart makes a namespace that is not there.
    ...sights
      .flatMap((sight) => gatewayFindings(sight, [], Date.now()))
      .filter(({ code }) => code !== "namespace-missing"),
    ...sharedKeyFindings(sights),
  ];
};
