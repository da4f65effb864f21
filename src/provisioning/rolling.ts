/** A gateway's Deployments as the config has them: one for each identity, changed one after another (core/gateway/roll.ts). */
import { isConflict, type KubeObject, refOf } from "../cluster/cluster.ts";
import { eventAbout } from "../cluster/event.ts";
import { bestEffort } from "../cluster/waiting.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { deploymentManifest } from "../core/gateway/deployment.ts";
import type { Manifest, Scripts } from "../core/gateway/manifests.ts";
import { type Member, nextSteps, rollNoteOf, healthOf } from "../core/gateway/roll.ts";
import { siblingsOf } from "../core/gateway/siblings.ts";
import { MANAGER, ROLL_LABEL } from "../core/names.ts";
import { type Applier, type ApplierParts, withSpecHash } from "./applier.ts";
import { type GatewayObjects, identified, kindAndName, locked } from "./objects.ts";
import { claimOf, isRestart, TEMPLATE_ANNOTATION } from "./template.ts";

/** How a gateway's Deployments stand. `due`: how many have yet to be made, changed or removed one after another; one alone does not wait. */
export type Deployed = { readonly wanted: number; readonly available: number; readonly due: number };

export type RollingEvents = {
  readonly restart?: (gateway: PlacedGateway, why: string) => void;
  readonly deployed?: (gateway: PlacedGateway, deployed: Deployed) => void;
};

type Rolling = ApplierParts & {
  readonly events: RollingEvents;
  readonly objects: GatewayObjects;
  readonly scripts: Scripts;
  readonly applier: Pick<Applier, "bring" | "keep">;
};

/** Of a Deployment that the config has, and of one that it has no longer. */
type Place = { readonly name: string; readonly manifest?: Manifest; readonly read?: KubeObject | undefined };

/** Makes what is missing, and the next change. One that is refused because something changed meanwhile is left to the next look. */
export const serveDeployments = async (rolling: Rolling): Promise<void> => {
  const { gateway, objects, events } = rolling;
  const places = placesOf(rolling);
  events.deployed?.(gateway, deployedOf(places));
  const [only, ...others] = places;
  if (only?.manifest !== undefined && others.length === 0) return serveOnly(rolling, only.manifest, only.read);
  await makeMissing(rolling, places);
  const members = places.map((place): Member => ({
    name: place.name,
    health: place.read ? healthOf(place.read) : "missing",
    wish: wishOf(rolling, place),
  }));
  for (const member of nextSteps(members)) {
    const place = places.find(({ name }) => name === member.name) as Place & { readonly read: KubeObject };
    try {
      if (member.health === "serves")
        await note(
          rolling,
          rollNoteOf(place.read),
          objects.deployments.filter((each) => each !== place.read),
        );
      await step(rolling, place);
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }
};

/**
 * A process that has read a Deployment as the only one must not change it once there is another. So the note comes
 * before the other is made.
 */
const makeMissing = async (rolling: Rolling, places: readonly Place[]): Promise<void> => {
  const missing = places.flatMap(({ manifest, read }) => (manifest !== undefined && !read ? [manifest] : []));
  const [first] = missing;
  if (first === undefined) return;
  try {
    await note(rolling, `new.${first.metadata.name}`, rolling.objects.deployments);
  } catch (error) {
    if (isConflict(error)) return;
    throw error;
  }
  await Promise.all(missing.map((manifest) => rolling.applier.bring(undefined, manifest)));
};

const placesOf = ({ gateway, scripts, objects: { deployments } }: Rolling): readonly Place[] => {
  const siblings = siblingsOf(gateway, deployments);
  const readOf = (name: string): KubeObject | undefined => deployments.find(({ metadata }) => metadata.name === name);
  const wanted = siblings.map((sibling) => ({
    name: sibling.name,
    manifest: withSpecHash(deploymentManifest(gateway, scripts, sibling), TEMPLATE_ANNOTATION),
    read: readOf(sibling.name),
  }));
  const extra = deployments.filter(({ metadata }) => siblings.every(({ name }) => name !== metadata.name));
  return [...wanted, ...extra.map((read) => ({ name: refOf(read).name, read }))];
};

const isServing = ({ read }: Place): boolean => read !== undefined && healthOf(read) === "serves";
const isDue = ({ read, manifest }: Place): boolean => !read || !manifest || isRestart(read, manifest);

const deployedOf = (places: readonly Place[]): Deployed => ({
  wanted: places.filter(({ manifest }) => manifest !== undefined).length,
  available: places.filter((place) => place.manifest !== undefined && isServing(place)).length,
  due: places.length > 1 ? places.filter(isDue).length : 0,
});

/** The same while the Deployment is not changed. Its status changes all the time, and notes on it do not count. */
const markOf = ({ metadata: { uid, generation } }: KubeObject, manifest: Manifest): string =>
  `${uid} ${generation} ${JSON.stringify(manifest)}`;

const wishOf = ({ applied }: Rolling, { manifest, read }: Place): Member["wish"] => {
  if (manifest === undefined) return "remove";
  const hasMarks = (field: "labels" | "annotations"): boolean =>
    Object.entries(manifest.metadata[field] ?? {}).every(([key, value]) => read?.metadata[field]?.[key] === value);
  const isKept = read !== undefined && applied.get(kindAndName(manifest)) === markOf(read, manifest);
  return isKept && hasMarks("labels") && hasMarks("annotations") ? "keep" : "change";
};

/** The notes have a field manager of their own, so that no apply of the Deployment drops them. */
const NOTER = `${MANAGER}-roll`;

const note = async ({ cluster, signal }: Rolling, text: string, deployments: readonly KubeObject[]): Promise<void> => {
  const labels = { [ROLL_LABEL]: text };
  for (const each of deployments) {
    const {
      apiVersion,
      kind,
      metadata: { uid = "", resourceVersion = "", namespace },
    } = each;
    const { name } = refOf(each);
    await cluster.apply(
      { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion, labels } },
      signal,
      NOTER,
    );
  }
};

const step = async (rolling: Rolling, { manifest, read }: Place & { readonly read: KubeObject }): Promise<void> => {
  const { cluster, gateway, signal, applied, events } = rolling;
  if (manifest === undefined) {
    await cluster.delete(read, signal);
    return;
  }
  if (isRestart(read, manifest)) await tell(rolling, read, "its pods are replaced one after another");
  const claim = claimOf(read, manifest);
  const last = claim === undefined ? read : await cluster.apply(locked(claim, read), signal);
  const made = await cluster.apply(locked(manifest, last), signal);
  applied.set(kindAndName(manifest), markOf(made, manifest));
  if (read.metadata.generation !== made.metadata.generation) events.wrote?.(gateway, refOf(made), "changed");
};

/** With Recreate a changed template is an outage of seconds for all who use the pod: said before it happens. */
const tell = async (
  { cluster, gateway, signal, events }: Rolling,
  read: KubeObject,
  consequence: string,
): Promise<void> => {
  const message = `the gateway's config, images or scripts changed: ${consequence}`;
  events.restart?.(gateway, message);
  const text = { type: "Normal", reason: "GatewayRestart", message } as const;
  await bestEffort(signal, (soon) => cluster.create(eventAbout(read, text), soon));
};

/** One Deployment is all: a due change is made now. */
const serveOnly = async (rolling: Rolling, manifest: Manifest, read: KubeObject | undefined): Promise<void> => {
  const { cluster, signal, applier } = rolling;
  if (read !== undefined && isRestart(read, manifest)) await tell(rolling, read, "its pod is replaced");
  const claim = read && claimOf(read, manifest);
  if (read === undefined || claim === undefined) {
    await applier.keep(read, manifest, TEMPLATE_ANNOTATION);
    return;
  }
  // Not locked after a claim: its status changes at once, and the claim has the mark of the template already.
  const claimed = await cluster.apply(identified(claim, read), signal);
  await cluster.apply(identified(manifest, claimed), signal);
};
