/**
 * A hostile tenant or a stranger on the port, in a thread of its own: the measurement of other clients leaves it out.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import type { KubeObject } from "../../../src/cluster/cluster.ts";
import { connect } from "../../../src/cluster/kubernetes.ts";
import { PODS } from "./pods.ts";
import { STRANGERS } from "./strangers.ts";

export type Attack = {
  readonly who: "tenant" | "stranger";
  /** The webhook's address, and the CA of its certificate, PEM. */
  readonly url: string;
  readonly ca: string;
  readonly kubeconfig: string;
  readonly ms: number;
};

/** Between two acts: each has one under way. */
const PAUSE_MS = 50;

const { who, url, ca, kubeconfig, ms } = workerData as Attack;
const end = performance.now() + ms;
/** Does one after another, in turn; says how many. */
const repeat = async (acts: readonly ((count: number) => Promise<unknown>)[]): Promise<number> => {
  let count = 0;
  for (; performance.now() < end; count += 1) {
    await acts[count % acts.length]?.(count).catch(() => undefined);
    await sleep(PAUSE_MS);
  }
  return count;
};

/** Each of the named pods in a namespace of the tenant's. */
const tenant = async (): Promise<number> => {
  const cluster = await connect("kubeconfig", { kubeconfigPath: kubeconfig });
  const reviews = Object.values(PODS).flatMap((make) => make(1).slice(0, 1));
  type Review = { readonly request: { readonly object: { readonly metadata: object } } };
  const pods = reviews.map((review) => (JSON.parse(review) as Review).request.object);
  return repeat(
    pods.map((pod) => (count) => {
      const metadata = { ...pod.metadata, name: `hostile-${count}`, namespace: "team-b" };
      const made = { apiVersion: "v1", kind: "Pod", ...pod, metadata } as KubeObject;
      return cluster.create(made, AbortSignal.timeout(20_000));
    }),
  );
};
const stranger = (): Promise<number> => repeat(Object.values(STRANGERS).map((act) => () => act({ url, ca }, 1)));

parentPort?.postMessage(await (who === "tenant" ? tenant() : stranger()));
