// The metrics of a gateway's pod.
import { METRICS_PORT } from "../../../src/core/forwards/ports.ts";
import type { PodFacts } from "./gateway.ts";

/** How many connections all forwards of the pod have had. */
export const connectsOf = async ({ status }: PodFacts): Promise<number> => {
  const text = await (await fetch(`http://${status.podIP}:${METRICS_PORT}/metrics`)).text();
  const counts = [...text.matchAll(/^flowgen_gateway_forward_connects_total\{.*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
};
