/** Which pods are flowgen's, as the config says it. */
import type { Config } from "./config.ts";

type Labels = Readonly<Record<string, string>>;

/** The flowgen chart's: its `nameOverride` changes the first of them, and its `app` is always the same. */
const OF_THE_CHART: readonly Labels[] = [{ "app.kubernetes.io/name": "flowgen" }, { app: "flowgen" }];

/** Sets of labels: a flowgen pod has all of one set. */
export const flowgenLabels = ({ podSelector }: Pick<Config, "podSelector">): readonly Labels[] =>
  podSelector === undefined ? OF_THE_CHART : [podSelector.matchLabels];

export const isFlowgenPod = (labels: Labels, config: Pick<Config, "podSelector">): boolean =>
  flowgenLabels(config).some((set) => hasLabels(labels, set));

/** Whether a pod has all labels of a selector's matchLabels. */
export const hasLabels = (labels: Labels, wanted: Labels): boolean =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value);

/** Label selectors (`key=value,key=value`): a flowgen pod matches one of them. */
export const flowgenSelectors = (config: Pick<Config, "podSelector">): readonly string[] =>
  flowgenLabels(config).map((set) =>
    Object.entries(set)
      .map(([key, value]) => `${key}=${value}`)
      .join(","),
  );
