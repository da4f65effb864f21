// A deployment as the flowgen chart makes it, whose container queries PostgreSQL at $PGHOST:$PGPORT, and what it
// logged.
//
// A line of its log is `row ADDRESS` for every answer of a fresh connection (5 a second), with the address of the
// server. Other lines are `fail WHY`, and `session WHY` when its one long connection ended.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FLOWGEN } from "./image-list.ts";

const script = `
session() {
  while :; do echo 'select 1;'; sleep 0.2; done | psql -XAqt 2>&1 >/dev/null | while read -r why; do echo "session $why"; done
}
while :; do session; sleep 1; done &
while :; do
  if answer=$(psql -XAtc 'select inet_server_addr()' 2>&1); then echo "row $answer"; else echo "fail $answer" | head -n 1; fi
  sleep 0.2
done`;

export type Client = { readonly namespace: string; readonly name: string };
type Wish = Client & {
  readonly target: string;
  readonly replicas?: number;
  readonly annotations?: Readonly<Record<string, string>>;
};

/** The deployment, to apply. `target`: the PostgreSQL server, in its env and in its annotation. */
export const clientDeployment = ({ namespace, name, target, replicas = 1, annotations = {} }: Wish): string => {
  const labels = { app: "flowgen", "app.kubernetes.io/name": "flowgen", "app.kubernetes.io/instance": name };
  // Longer than a busy machine's pauses: a query that fails was refused, cut, or left without an answer.
  const env = { PGHOST: target, PGPORT: "5432", PGUSER: "postgres", PGSSLMODE: "require", PGCONNECT_TIMEOUT: "5" };
  return JSON.stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: {
          labels,
          annotations: { "flowgen.io/private-targets": `${name}=${target}:5432`, ...annotations },
        },
        spec: {
          terminationGracePeriodSeconds: 1,
          securityContext: { runAsNonRoot: true, runAsUser: 65534, runAsGroup: 65534, fsGroup: 65534 },
          containers: [
            {
              name: "flowgen",
              image: FLOWGEN,
              command: ["sh", "-c", script],
              env: Object.entries(env).map(([name, value]) => ({ name, value })),
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ["ALL"] },
              },
            },
          ],
        },
      },
    },
  });
};

export type ClientLine = { readonly at: number; readonly pod: string; readonly kind: string; readonly text: string };

/** The log of the pods of a deployment since `from`, in order. */
export const linesOf = async (client: Client, from = 0): Promise<readonly ClientLine[]> =>
  (await containerLog(client, "flowgen", from)).flatMap(({ at, pod, line }) => {
    const [, kind = "", text = ""] = /^(\S+) (.*)$/.exec(line) ?? [];
    return kind === "" ? [] : [{ at, pod, kind, text }];
  });

/** `at`: milliseconds since the epoch. */
export type LogLine = { readonly at: number; readonly pod: string; readonly line: string };

/** The log of a container of the pods of a deployment since `from`, in order. */
export const containerLog = async (
  { namespace, name }: Client,
  container: string,
  from: number,
): Promise<readonly LogLine[]> => {
  const root = "/var/log/pods";
  const pods = (await readdir(root)).filter((pod) => pod.startsWith(`${namespace}_${name}-`));
  const lines = await Promise.all(pods.map(async (pod) => parse(pod, await logOf(join(root, pod, container)))));
  return lines
    .flat()
    .filter(({ at }) => at >= from)
    .sort((a, b) => a.at - b.at);
};

const logOf = async (folder: string): Promise<string> => {
  const files = await readdir(folder).catch(() => []); // the container has not started yet
  return (await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")))).join("");
};

/** A line of a container's log: `2026-01-01T00:00:00.123456789Z stdout F text`. */
const parse = (pod: string, log: string): readonly LogLine[] =>
  log.split("\n").flatMap((text) => {
    const [, time = "", line = ""] = /^(\S+) \S+ \S (.*)$/.exec(text) ?? [];
    return time === "" ? [] : [{ at: Date.parse(time), pod, line }];
  });

export type Experience = {
  readonly queries: number;
  readonly failures: readonly string[];
  readonly lostSessions: number;
  /** The longest time in which a pod got no row, in milliseconds. */
  readonly gap: number;
};

/** How it went for the clients between two moments. */
export const experience = (lines: readonly ClientLine[], from: number, to: number): Experience => {
  const within = lines.filter(({ at }) => at >= from && at <= to);
  const of = (kind: string): readonly ClientLine[] => within.filter((line) => line.kind === kind);
  const gaps = [...Map.groupBy(of("row"), ({ pod }) => pod).values()].flatMap((rows) =>
    [from, ...rows.map(({ at }) => at), to].map((at, index, all) => at - (all[index - 1] ?? at)),
  );
  return {
    queries: of("row").length + of("fail").length,
    failures: of("fail").map(({ text }) => text),
    lostSessions: of("session").length,
    gap: Math.max(0, ...gaps),
  };
};
