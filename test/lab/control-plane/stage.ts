// Replicas of the webhook behind one address, and pods by the hundred.
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { type Api, connectTo, type ApiObject } from "./api.ts";
import { type Balancer, startBalancer } from "./balancer.ts";
import { type GatewayRecord, recordGateway } from "./gateway-record.ts";
import { freePorts } from "./ports.ts";
import { startScene } from "./scene.ts";
import type { StartOptions, Webhook } from "./webhook.ts";
import { PODS_PATH, type Wish, wishedPod } from "./wishes.ts";

export type Stage = {
  readonly balancer: Balancer;
  /**
   * Clients that are no admins: the API server lets so many of their requests run at a time as it does in any cluster.
   */
  readonly creators: Api;
  readonly admin: Api;
  readonly record: GatewayRecord;
  readonly ports: readonly number[];
  /** Starts a replica and ends it with the test. */
  readonly start: (port: number) => Promise<Webhook>;
};

/**
 * A control plane without controllers, and places for the webhook's replicas behind the address that is registered.
 * `more`: how they are started.
 */
export const setStage = async (
  t: Test,
  config: string,
  replicas: number,
  more: Partial<StartOptions> = {},
): Promise<Stage> => {
  const scene = await startScene(t, { controllerManager: false, config });
  const { kubectl, installed, controlPlane } = scene;
  // As long as the API server ever waits: on a slow machine it is not a stopwatch that decides here.
  const patch = JSON.stringify([{ op: "replace", path: "/webhooks/0/timeoutSeconds", value: 30 }]);
  await kubectl(["patch", "mutatingwebhookconfiguration", "flowgen-gateway-webhook", "--type=json", "-p", patch]);
  const binding = ["--clusterrole=cluster-admin", "--group=system:serviceaccounts:default"];
  await kubectl(["create", "clusterrolebinding", "creators", ...binding]);
  const ports = await freePorts(replicas);
  const balancer = await startBalancer(Number(new URL(installed.url).port), ports);
  t.teardown(balancer.close);
  const start = async (port: number): Promise<Webhook> => {
    const webhook = await installed.start({ ...more, port });
    t.teardown(webhook.kill);
    return webhook;
  };
  const [admin, creators] = [connectTo(controlPlane), connectTo(controlPlane, "creators")];
  t.teardown(admin.close);
  t.teardown(creators.close);
  return { creators, admin, balancer, ports, start, record: await recordGateway(admin) };
};

export type Created = {
  readonly pods: readonly ApiObject[];
  readonly refused: readonly string[];
  readonly ms: readonly number[];
};

/**
 * Creates pods, so many at a time. `untilThere`: as a Job does, each again until it is there, and `refused` has the
 * answer of every try that failed. The time of a pod counts from its first try.
 */
export const createPods = async (
  api: Api,
  wishes: readonly Wish[],
  { atATime, untilThere }: { readonly atATime: number; readonly untilThere: boolean },
): Promise<Created> => {
  const pods: ApiObject[] = [];
  const refused: string[] = [];
  const ms: number[] = [];
  const left = [...wishes];
  const worker = async (): Promise<void> => {
    for (let wish = left.shift(); wish !== undefined; wish = left.shift()) {
      const started = performance.now();
      for (let isOver = false; !isOver;) {
        const { status, body } = await api.ask("POST", PODS_PATH, wishedPod(wish));
        const isCreated = status === 201;
        if (isCreated) pods.push(body);
        else refused.push(`${wish.name}: ${status} ${String(body["message"])}`);
        isOver = isCreated || !untilThere;
        if (!isOver) await sleep(AGAIN_MS);
      }
      ms.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return { pods, refused, ms };
};
const AGAIN_MS = 100;

/** The API server's message about a try without an answer: the webhook refused nothing. */
export const isUnanswered = (refused: string): boolean => refused.includes('failed calling webhook "pods.flowgen.io"');

/** Milliseconds that a share of the creations took at most. */
export const quantile = (ms: readonly number[], share: number): number =>
  ms.toSorted((a, b) => a - b)[Math.ceil(ms.length * share) - 1] ?? NaN;

/** So that the pods come to be on a machine too on which a process hardly starts before its end. */
const MAX_KILLS = 5;

/** Kills a replica and starts it anew, again and again, after pauses of `pauseMs`. Returns the number of kills. */
export const harass = async (
  port: number,
  start: Stage["start"],
  pauseMs: () => number,
  isOver: () => boolean,
): Promise<number> => {
  let kills = 0;
  do {
    const webhook = await start(port);
    await sleep(pauseMs());
    await webhook.kill();
    kills += 1;
  } while (!isOver() && kills < MAX_KILLS);
  await start(port);
  return kills;
};
