/**
 * `npm run bench:hostile`: the cost of inputs that are made to cost much. Each is sent to the bundle at 1, 2 and 4
 * times a size. The bundle is a process of its own with the memory of the chart. Printed are bytes, the answer,
 * milliseconds of CPU, and MiB above rest at the peak. Exit 1 when the process ended, or a single review took more than
 * the goal.
 */
import { Agent } from "node:https";
import { send } from "../../server/client.ts";
import { inManyEnv, inOneEnv, PIECES, podReview, PODS, WORKLOADS } from "./pods.ts";
import { cpuMs, highestOf, LIMIT, restOf, type Server, startBenchServer } from "./server.ts";
import { STRANGERS } from "./strangers.ts";

const MOST_MS = 250;
const MOST_MIB = 64;
const SIZES = [1, 2, 4];
/** Of the request to an API server. */
const MOST_REQUEST = 3 * 2 ** 20;

type Measured = {
  readonly bytes: number;
  readonly reviews: number;
  readonly says: string;
  readonly ms: number;
  readonly mib: number;
};

/** Honest pods, so that the first use of the code is not measured. */
const warm = async ({ url, ca }: Server): Promise<void> => {
  const agent = new Agent({ ca, keepAlive: true });
  for (let at = 0; at < 30; at += 1) {
    const env = [{ name: "URL", value: `postgres://u:p@10.0.0.5:1433/db${at}` }];
    const body = podReview("sql=10.0.0.5:1433", [env]);
    await send(`${url}/mutate?timeout=10s`, { agent, body });
  }
  agent.destroy();
};

type Path = "mutate" | "warn";

/** The server's answers to the bodies, all sent at once. */
const answersTo = async ({ url, ca }: Server, bodies: readonly string[], path: Path): Promise<string> => {
  const agent = new Agent({ ca, keepAlive: true, maxSockets: 50 });
  const says = await Promise.all(
    bodies.map(async (body) => {
      const { status, body: text } = await send(`${url}/${path}?timeout=30s`, { agent, body }).catch(
        (error: unknown) => ({
          status: 0,
          body: String(error),
        }),
      );
      const { reason } =
        (JSON.parse(status === 200 ? text : "{}") as { response?: { status?: { reason?: string } } }).response
          ?.status ?? {};
      const size = text.length > 4000 ? ` of ${(text.length / 1000).toFixed(0)} kB` : "";
      return `${status === 200 ? (reason ?? "allowed") : status}${size}`;
    }),
  );
  agent.destroy();
  const counts = new Map<string, number>();
  for (const each of says) counts.set(each, (counts.get(each) ?? 0) + 1);
  return [...counts]
    .map(([each, count]) => (count === 1 ? each : `${count} × ${each}`))
    .slice(0, 3)
    .join(", ");
};

const measured = async (
  act: (server: Server) => Promise<{ readonly bytes: number; readonly reviews: number; readonly says: string }>,
): Promise<Measured> => {
  const server = await startBenchServer();
  try {
    await warm(server);
    const [before, rest] = [cpuMs(server.pid), restOf(server.pid)];
    const done = await act(server);
    if (!server.isAlive()) return { ...done, says: "THE PROCESS ENDED", ms: Infinity, mib: Infinity };
    return { ...done, ms: cpuMs(server.pid) - before, mib: highestOf(server.pid) - rest };
  } finally {
    await server.stop();
  }
};

const total = (bodies: readonly string[]): number => bodies.reduce((sum, { length }) => sum + length, 0);
const ofReviews = (bodies: readonly string[], path: Path = "mutate"): Promise<Measured> =>
  measured(async (server) => ({
    bytes: total(bodies),
    reviews: bodies.length,
    says: await answersTo(server, bodies, path),
  }));

const isUnread = ({ says }: Measured): boolean => says === "413";
/**
 * The size between two of which the larger is not read any more, where that begins: there a review costs the most. Each look halves the distance.
 */
const largest = async (make: Make, path: Path, [least, most]: readonly [number, number]): Promise<Measured> => {
  let [read, unread] = [least, most];
  for (let looks = 0; looks < 5; looks += 1) {
    const middle = (read + unread) / 2;
    if (isUnread(await ofReviews(make(middle), path))) unread = middle;
    else read = middle;
  }
  return ofReviews(make(read), path);
};
type Make = (times: number) => readonly string[];

const size = (bytes: number): string =>
  bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
const missed: string[] = [];
const tell = (name: string, rows: readonly Measured[]): void => {
  const [first] = rows;
  for (const [at, { bytes, reviews, says, ms, mib }] of rows.entries()) {
    const isOver = ms > MOST_MS * reviews || mib > MOST_MIB * Math.min(reviews, 2);
    if (isOver) missed.push(`${name}, ${size(bytes)}`);
    const growth = at === 0 || first === undefined ? "" : `× ${(ms / first.ms).toFixed(1)}`;
    console.log(
      `${(at === 0 ? name : "").padEnd(46)} ${size(bytes).padStart(9)} ${ms.toFixed(0).padStart(6)} ms ${growth.padStart(6)} ${mib.toFixed(1).padStart(6)} MiB  ${says}${isOver ? "  <- more than is aimed at" : ""}`,
    );
  }
};

console.log(
  `goal: ${MOST_MS} ms and ${MOST_MIB} MiB above rest for a review; memory ${LIMIT} MiB; sizes × ${SIZES.join(", ")}`,
);
for (const [path, kinds] of [
  ["mutate", PODS],
  ["warn", WORKLOADS],
] as const)
  for (const [name, make] of Object.entries(kinds)) {
    const rows: Measured[] = [];
    for (const times of SIZES) rows.push(await ofReviews(make(times), path));
    const unread = rows.findIndex(isUnread);
    if (unread > 0) rows.push(await largest(make, path, [SIZES[unread - 1] ?? 0, SIZES[unread] ?? 0]));
    tell(path === "warn" ? `${name} (/warn)` : name, rows);
  }
for (const [name, make] of Object.entries({ "in one env": inOneEnv, "in env of 16 kB": inManyEnv })) {
  const worst = new Map<string, Measured>();
  for (const piece of PIECES) {
    const rows = await ofReviews([make(piece, 0.9 * MOST_REQUEST)]);
    worst.set(piece, rows);
  }
  const [slowest = "", largest = ""] = (["ms", "mib"] as const).map(
    (key) => [...worst].toSorted(([, a], [, b]) => b[key] - a[key])[0]?.[0],
  );
  for (const piece of new Set([slowest, largest]))
    tell(`${JSON.stringify(piece)} ${name}, the worst of ${PIECES.length}`, [worst.get(piece) as Measured]);
}
for (const [name, act] of Object.entries(STRANGERS)) {
  const rows: Measured[] = [];
  for (const times of SIZES) rows.push(await measured((server) => act(server, times)));
  tell(name, rows);
}
console.log(missed.length === 0 ? "all within the goal" : `missed: ${missed.join("; ")}`);
process.exitCode = missed.length === 0 ? 0 : 1;
