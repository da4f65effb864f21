import { MANAGER } from "../core/names.ts";
import { type KubeObject, type Metadata, resources } from "./cluster.ts";

export type EventText = { readonly type: "Normal" | "Warning"; readonly reason: string; readonly message: string };

/** An object that an Event may be about: `kubectl describe` finds the Event by all of these. */
export type Involved = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Pick<Metadata, "name" | "namespace" | "uid">;
};

/** An Event about an object that lives in a namespace, for `kubectl describe`. */
export const eventAbout = ({ apiVersion, kind, metadata }: Involved, note: EventText): KubeObject => {
  const { name = "", namespace, uid } = metadata;
  const now = new Date().toISOString();
  return {
    apiVersion: resources.Event.apiVersion,
    kind: "Event",
    metadata: { generateName: `${name}-`, namespace },
    involvedObject: { apiVersion, kind, name, namespace, uid },
    ...note,
    // Without them `kubectl get events` shows no age.
    ...{ firstTimestamp: now, lastTimestamp: now, count: 1 },
    reportingComponent: MANAGER,
    source: { component: MANAGER },
  };
};
