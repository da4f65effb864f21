import type { Cluster } from "../cluster/cluster.ts";
import { counted } from "../cluster/counted.ts";
import type { Metrics } from "./metrics/metrics.ts";

/** The same cluster, with its calls in the metrics. */
export const counting = (cluster: Cluster, metrics: Metrics): Cluster =>
  counted(cluster, (verb, kind, code) => {
    metrics.apiCall(verb, kind, code);
  });
