/**
 * Two configs may be at work at once: while a rollout replaces the webhook's processes, or because the cluster has two
 * installations. The table's object names the intent that is in force. It has the revision of the config, and a hash of
 * all that the gateway is made from. A change of it is a locked write, so all processes agree about the order. A higher
 * revision wins. At equal revisions each process puts a config in force only once. So two processes do not overwrite
 * each other's again and again. A process that is behind writes nothing.
 */
import { createHash } from "node:crypto";
import { isDeadline, isTransient, type KubeObject } from "../cluster/cluster.ts";
import type { Config, PlacedGateway } from "../core/config/config.ts";
import { deploymentManifest } from "../core/gateway/deployment.ts";
import { siblingsOf } from "../core/gateway/siblings.ts";
import type { Manifest, Scripts } from "../core/gateway/manifests.ts";
import { perObject } from "../core/memo.ts";
import { gatewayId } from "../core/names.ts";

const REVISION_ANNOTATION = "flowgen.io/revision";
const INTENT_ANNOTATION = "flowgen.io/intent";

/** `hash`: of config, scripts and the manifest that is made from them. */
export type Intent = { readonly revision: number; readonly hash: string };

/** The intent of a config for a gateway. Gateways of one config have intents of their own. */
export const intentOf = (config: Config, gateway: PlacedGateway, scripts: Scripts): Intent => {
  const manifests = siblingsOf(gateway, []).map((sibling) => deploymentManifest(gateway, scripts, sibling));
  const parts = [gateway, config.podSelector, scripts.hash, ...manifests];
  const hash = createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
  return { revision: config.revision, hash };
};

/** The intent that is in force, as the table's object names it; undefined: none was named yet. */
export const intentIn = (table: KubeObject | undefined): Intent | undefined => {
  const { [REVISION_ANNOTATION]: revision, [INTENT_ANNOTATION]: hash } = { ...table?.metadata.annotations };
  return hash === undefined ? undefined : { revision: Number(revision), hash };
};

/** The table's manifest with the intent; of equal intents the higher revision stays. */
export const withIntent = (manifest: Manifest, ours: Intent, read: KubeObject | undefined): Manifest => {
  const theirs = intentIn(read);
  const revision = theirs?.hash === ours.hash ? Math.max(theirs.revision, ours.revision) : ours.revision;
  const { metadata } = manifest;
  const named = { [REVISION_ANNOTATION]: String(revision), [INTENT_ANNOTATION]: ours.hash };
  return { ...manifest, metadata: { ...metadata, annotations: { ...metadata.annotations, ...named } } };
};

/** The intents that are not to become part of a copy of the table's object. */
export const withoutIntent = (annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> => {
  const { [REVISION_ANNOTATION]: _revision, [INTENT_ANNOTATION]: _hash, ...rest } = annotations;
  return rest;
};

/** `in-force`: the table's object names this intent. `due`: this process may put it in force. `behind`: another one's stays. */
export type Stand = "in-force" | "due" | "behind";

/** A gateway by the config that a process has read. A config that is read again, after another one, is another config. */
type Placed = { readonly config: Config; readonly gateway: PlacedGateway };

/** The record of one process about the intents of its gateways. */
export type Intents = {
  readonly standOf: (placed: Placed, ours: Intent, table: KubeObject | undefined) => Stand;
  /** Makes the write that puts an intent in force, which is remembered. `read`: the table's object to which the write is locked. */
  readonly putInForce: <T>(placed: Placed, read: KubeObject | undefined, write: () => Promise<T>) => Promise<T>;
};

/** `version`: of the object to which a write without an answer was locked. While the object has it, the write did not happen. */
type Done = { readonly version?: string | undefined };
const IN_FORCE: Done = {};

export const createIntents = (): Intents => {
  /** By gateway; of gateways that exist. */
  const doneOf = perObject((_config: Config) => new Map<string, Done>());
  return {
    standOf: ({ config, gateway }, ours, table) => {
      const [done, key] = [doneOf(config), gatewayId(gateway)];
      const theirs = intentIn(table);
      if (theirs?.hash === ours.hash) {
        done.set(key, IN_FORCE);
        return "in-force";
      }
      if (theirs === undefined || theirs.revision < ours.revision) return "due";
      if (theirs.revision > ours.revision) return "behind";
      const before = done.get(key);
      return before === undefined || (before !== IN_FORCE && before.version === versionOf(table)) ? "due" : "behind";
    },
    putInForce: async ({ config, gateway }, read, write) => {
      const [done, key] = [doneOf(config), gatewayId(gateway)];
      const before = done.get(key);
      done.set(key, { version: versionOf(read) });
      try {
        const written = await write();
        done.set(key, IN_FORCE);
        return written;
      } catch (error) {
        const isRefused = !isTransient(error) && !isDeadline(error);
        if (isRefused && before === undefined) done.delete(key);
        else if (isRefused && before !== undefined) done.set(key, before);
        throw error;
      }
    },
  };
};

const versionOf = (object: KubeObject | undefined): string =>
  `${object?.metadata.uid} ${object?.metadata.resourceVersion}`;
