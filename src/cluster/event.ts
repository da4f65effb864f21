import { MANAGER } from "../core/names.ts";
import { type KubeObject, resources } from "./cluster.ts";

export type EventText = { readonly type: "Normal" | "Warning"; readonly reason: string; readonly message: string };

/** An Event about an object that lives in a namespace, for `kubectl describe`. */
export const eventAbout = (
  { kind, metadata: { name, namespace, uid } }: Pick<KubeObject, "kind" | "metadata">,
  note: EventText,
): KubeObject => ({
  apiVersion: "v1",
  kind: "Event",
  metadata: { generateName: `${String(name)}-`, namespace },
  involvedObject: { apiVersion: resources[kind].apiVersion, kind, name, namespace, uid },
  ...note,
  reportingComponent: MANAGER,
  source: { component: MANAGER },
});
