/** Server-side apply of a gateway's objects, no oftener than needed, and never an older table's content over a newer one's. */
import { createHash } from "node:crypto";
import { isConflict, type KubeObject, type Ref, refOf } from "../cluster/cluster.ts";
import type { PlacedGateway } from "../core/config/config.ts";
import { isEqual } from "../core/equal.ts";
import type { Table } from "../core/forwards/table.ts";
import type { Manifest } from "../core/gateway/manifests.ts";
import { ROLL_LABEL } from "../core/names.ts";
import { isGateways, kindAndName, locked } from "./objects.ts";
import { tableNow, type Written } from "./written.ts";

/** A hash of the content, on objects that any process finds as wanted by it. */
const CONTENT_ANNOTATION = "flowgen.io/content";
/** On those that are made from the table: how often forwards had been removed from the table that they were made from. */
const REMOVALS_ANNOTATION = "flowgen.io/removals";

/**
 * The last apply of this process, by object: the version that it got, and its content. An object that still has that
 * version needs no second apply. An object with another version gets one, which repairs drift. Losing this map costs an
 * apply that changes nothing.
 */
export type Applied = Map<string, string>;

export type Bringing = {
  /** Fields of the spec that are asked for when the object is made, and kept by the API server after that. */
  readonly atCreation?: object | undefined;
};

/** Of an object whose status changes meanwhile. */
const MOST_TRIES = 5;

const withSpec = (manifest: Manifest, more: object | undefined): Manifest =>
  more === undefined ? manifest : { ...manifest, spec: { ...(manifest["spec"] as object), ...more } };

/**
 * The hash is of the removals too. A forward may be removed and given again while a replica holds an object of before
 * the removal. By its spec alone that object would be the wanted one.
 */
const withContentHash = (manifest: Manifest, table: Table): Manifest =>
  withHash(annotated(manifest, REMOVALS_ANNOTATION, removalsText(table)));

const withHash = (manifest: Manifest): Manifest => {
  const { labels, annotations } = manifest.metadata;
  return annotated(manifest, CONTENT_ANNOTATION, hashOf([labels, annotations, manifest["spec"] ?? manifest["data"]]));
};
const removalsText = ({ removals = 0 }: Table): string => String(removals);

export type Applier = {
  /** Applies the manifest, unless this process did and the object has not changed since. `read`: the object before. */
  readonly bring: (read: KubeObject | undefined, manifest: Manifest, more?: Bringing) => Promise<KubeObject>;
  /** The same for an object that all processes with this config make alike. One that is as wanted is not applied again. */
  readonly share: (read: KubeObject | undefined, manifest: Manifest) => Promise<KubeObject>;
  /** The same for an object that others change too, and that has the annotation `mark` where it is as wanted. */
  readonly keep: (read: KubeObject | undefined, manifest: Manifest, mark: string) => Promise<KubeObject>;
  /** The same for an object that is made from the table. */
  readonly follow: (
    read: KubeObject | undefined,
    /** From the table, and the object before. */
    render: (table: Table, last: KubeObject | undefined) => Manifest,
    atCreation?: object,
  ) => Promise<KubeObject>;
};

export type ApplierEvents = {
  /** An object was made, or changed. */
  readonly wrote?: (gateway: PlacedGateway, object: Ref, how: "made" | "changed") => void;
};

export type ApplierParts = Written & { readonly events: ApplierEvents; readonly applied: Applied };

export const applierOf = (parts: ApplierParts): Applier => {
  const { cluster, gateway, table, newer, applied, signal, events } = parts;
  const bring: Applier["bring"] = async (read, manifest, more = {}) => {
    const { atCreation } = more;
    const key = kindAndName(manifest);
    const content = JSON.stringify(manifest);
    const mark = ({ metadata }: KubeObject): string => [metadata.uid, metadata.resourceVersion, content].join(" ");
    if (read !== undefined && applied.get(key) === mark(read)) return read;
    const wanted = read === undefined ? withSpec(manifest, atCreation) : manifest;
    const made = await cluster.apply(locked(wanted, read), signal);
    applied.set(key, mark(made));
    if (read?.metadata.resourceVersion !== made.metadata.resourceVersion)
      events.wrote?.(gateway, refOf(made), read === undefined ? "made" : "changed");
    return made;
  };
  const share: Applier["share"] = async (read, manifest) => {
    const wanted = withHash(manifest);
    if (read !== undefined && isAsWanted(read, wanted)) return read;
    try {
      return await bring(read, wanted);
    } catch (error) {
      if (!isConflict(error)) throw error;
      const last = await cluster.get(refOf(wanted), signal);
      if (last === undefined || !isGateways(last, gateway) || !isAsWanted(last, wanted)) throw error;
      return last;
    }
  };
  /**
   * For objects that are made from the table. Under many replicas' writes the version that was read is soon not the
   * last. Then the table is read again, after the object. Where another replica made the object from that table, it
   * serves the pods that wait; else it is made here. Exceptions: that table lacks a forward of this one or names
   * another config, or the object lacks the fields of `atCreation`. An object that has all of this table since the last
   * removal serves too: the replica of the newer table makes it anew.
   */
  const follow: Applier["follow"] = async (read, render, atCreation) => {
    let [last, made]: [KubeObject | undefined, Table] = [read, newer ?? table];
    if (newer !== undefined && last !== undefined && offers(last, render(table, last), made)) return last;
    for (let tries = 1; ; tries += 1) {
      const manifest = withContentHash(render(made, last), made);
      if (last !== undefined && isAsWanted(last, manifest)) return last;
      try {
        return await bring(last, manifest, { atCreation });
      } catch (error) {
        if (!isConflict(error) || tries === MOST_TRIES) throw error;
        last = await cluster.get(refOf(manifest), signal);
        const now = await tableNow(parts);
        if (now === undefined || last === undefined || !isGateways(last, gateway)) throw error;
        if (!hasFields(last["spec"], atCreation)) throw error;
        made = now.table;
        if (offers(last, render(table, last), made)) return last;
      }
    }
  };
  /**
   * For the Deployment, whose status changes all the time: it is applied to the next version where that has the mark of the wanted
   * template. With another mark the wanted template may be an older config's; with another note (core/gateway/roll.ts) there is a second Deployment.
   */
  const keep: Applier["keep"] = async (read, manifest, mark) => {
    let last = read;
    for (let tries = 1; ; tries += 1) {
      try {
        return await bring(last, manifest);
      } catch (error) {
        if (!isConflict(error) || tries === MOST_TRIES) throw error;
        last = await cluster.get(refOf(manifest), signal);
        if (last?.metadata.annotations?.[mark] !== manifest.metadata.annotations?.[mark]) throw error;
        if (last?.metadata.labels?.[ROLL_LABEL] !== read?.metadata.labels?.[ROLL_LABEL]) throw error;
      }
    }
  };
  return { bring, share, follow, keep };
};

const hasFields = (spec: unknown, fields: object = {}): boolean =>
  Object.entries(fields).every(([name, value]) => isEqual((spec as Readonly<Record<string, unknown>>)[name], value));

/**
 * Whether an apply would change nothing: the hash says that the webhook applied this content last, and none of its fields has been changed since.
 */
const isAsWanted = ({ metadata, spec, data }: KubeObject, manifest: Manifest): boolean =>
  hasFields(metadata.annotations ?? {}, manifest.metadata.annotations) &&
  hasFields(metadata.labels ?? {}, manifest.metadata.labels) &&
  hasFields(spec, manifest["spec"] as object | undefined) &&
  isEqual(data, manifest["data"]);

const isSinceRemoval = ({ metadata }: KubeObject, now: Table): boolean =>
  metadata.annotations?.[REMOVALS_ANNOTATION] === removalsText(now);

/** The lists of a Service and of a NetworkPolicy that have an entry for each forward, in the table's order. */
const LISTS = ["ports", "ingress"];
/** Whether an object has all of the manifest's spec; its lists may have more entries. */
const holdsSpec = (object: KubeObject, manifest: Manifest): boolean => {
  const spec = object["spec"] as Readonly<Record<string, unknown>>;
  return Object.entries(manifest["spec"] as object).every(([field, value]) =>
    LISTS.includes(field) && Array.isArray(spec[field])
      ? isSublist(value as readonly unknown[], spec[field])
      : isEqual(spec[field], value),
  );
};

/**
 * Whether an object has all of the manifest's spec, and was made since the last removal. `last`: the table with the
 * number of removals that counts.
 */
export const offers = (object: KubeObject, manifest: Manifest, last: Table): boolean =>
  isSinceRemoval(object, last) && holdsSpec(object, manifest);

const isSublist = (some: readonly unknown[], all: readonly unknown[]): boolean => {
  let found = 0;
  for (const item of all) if (found < some.length && isEqual(item, some[found])) found += 1;
  return found === some.length;
};

const hashOf = (content: unknown): string =>
  createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 16);

const annotated = ({ metadata, ...rest }: Manifest, annotation: string, text: string): Manifest => ({
  ...rest,
  metadata: { ...metadata, annotations: { ...metadata.annotations, [annotation]: text } },
});

/** The manifest with a short hash of its spec in an annotation. */
export const withSpecHash = (manifest: Manifest, annotation: string): Manifest =>
  annotated(manifest, annotation, hashOf(manifest["spec"]));
