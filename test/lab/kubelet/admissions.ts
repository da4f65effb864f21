// A stream of annotated pods, each created in a dry run. A dry run takes the same way through the API server and the
// webhook as a real creation.
import { setTimeout as sleep } from "node:timers/promises";
import type { Api } from "../control-plane/api.ts";
import { GATEWAY, HOST } from "../control-plane/scene.ts";

export const TARGETS = "flowgen.io/private-targets";

/** The documented gateway, with one tunnel to 10.0.0.0/8. */
export const documentedGateway = (extra: object = {}) => ({
  ...GATEWAY,
  tunnels: [{ name: "wg0", secretName: "wireguard-client-a", allowedTargets: ["10.0.0.0/8"], ...extra }],
});

/** The port of 10.0.0.5 in the annotation: an env beside the host says it, too. */
const portIn = (annotations: Readonly<Record<string, string>>): string =>
  /10\.0\.0\.5:(\d+)/.exec(annotations[TARGETS] ?? "")?.[1] ?? "1433";

/** A flowgen pod with one env, MSSQL_HOST, that holds 10.0.0.5. */
export const minimalPod = (annotations: Readonly<Record<string, string>>, namespace = "team-a") => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    generateName: "flowgen-",
    namespace,
    labels: { "app.kubernetes.io/name": "flowgen" } as Record<string, string>,
    annotations,
  },
  spec: {
    containers: [
      {
        name: "flowgen",
        image: "x",
        env: [
          { name: "MSSQL_HOST", value: "10.0.0.5" },
          { name: "MSSQL_PORT", value: portIn(annotations) },
        ],
      },
    ],
  },
});

/** The value of the pod's MSSQL_HOST, as an answer to its creation has it. */
export const hostIn = (body: object): string | undefined =>
  (body as Partial<ReturnType<typeof minimalPod>>).spec?.containers[0]?.env.find(({ name }) => name === "MSSQL_HOST")
    ?.value;

type Streamed = {
  readonly redirected: number;
  /** Let through as they were. */
  readonly unchanged: number;
  /** The answers of the others. */
  readonly refused: readonly string[];
};
export type AdmissionStream = { /** Ends the stream. */ readonly stop: () => Promise<Streamed> };

/** `workers` clients ask one after the other, without a pause, for a pod with these targets. */
export const streamAdmissions = (api: Api, workers = 4, targets = "mssql=10.0.0.5:1433"): AdmissionStream => {
  const refused: string[] = [];
  let redirected = 0;
  let unchanged = 0;
  let isStopped = false;
  const work = async (): Promise<void> => {
    while (!isStopped) {
      const pod = minimalPod({ [TARGETS]: targets });
      const { status, body } = await api.ask("POST", "/api/v1/namespaces/team-a/pods?dryRun=All", pod);
      if (status !== 201) refused.push(`${status} ${String(body["message"])}`);
      else if (hostIn(body) === HOST) redirected += 1;
      else unchanged += 1;
      await sleep(5);
    }
  };
  const working = Array.from({ length: workers }, work);
  return {
    stop: async () => {
      isStopped = true;
      await Promise.all(working);
      return { redirected, unchanged, refused };
    },
  };
};
