// Clients for the tests, in a process of their own: `node visits.ts HOST PORT EVERY_MS [postgres]` makes a new
// connection every so often. Each must get a first byte within five seconds; a PostgreSQL is asked for TLS. It prints
// `lost AT WHY PORT` for each that did not, with the port of the client, and `visits COUNT` at its end.
import { connect } from "node:net";
import { join } from "node:path";
import type { Started } from "./hosts.ts";

const PATIENCE_MS = 5_000;

/**
 * The visitors' results. `at`: milliseconds since the epoch, of the connection's begin; `port`: its own, 0 where that
 * is not known.
 */
export type Visits = {
  readonly count: number;
  readonly lost: readonly { readonly at: number; readonly why: string; readonly port: number }[];
};
export type Visitors = { readonly stop: () => Promise<Visits> };
type Wish = {
  readonly host: string;
  readonly port: number;
  readonly everyMs: number;
  readonly more?: readonly "postgres"[];
};

/** Lets visitors come until `stop`, which waits for those that are under way. `start`: runs a command where they come from. */
export const startVisits = (
  start: (command: readonly string[]) => Pick<Started, "kill" | "ended" | "output">,
  { host, port, everyMs, more = [] }: Wish,
): Visitors => {
  const script = join(import.meta.dirname, "visits.ts");
  const visitors = start([process.execPath, "--no-warnings", script, host, `${port}`, `${everyMs}`, ...more]);
  return {
    stop: async () => {
      visitors.kill("SIGTERM");
      await visitors.ended;
      const lines = visitors
        .output()
        .split("\n")
        .map((line) => line.split(" "));
      return {
        count: Number(lines.find(([kind]) => kind === "visits")?.[1]),
        lost: lines.flatMap(([kind, at, why = "", port]) =>
          kind === "lost" ? [{ at: Number(at), why, port: Number(port) }] : [],
        ),
      };
    },
  };
};

/** What a PostgreSQL answers by one letter: will it speak TLS? */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

const visit = (host: string, port: number, isPostgres: boolean): Promise<void> =>
  new Promise((resolve) => {
    const at = Date.now();
    const socket = connect({ host, port });
    let own = 0; // an error closes the socket, which has no port then
    setImmediate(() => (own = socket.localPort ?? 0));
    const end = (why?: string): void => {
      clearTimeout(timer);
      if (why !== undefined) console.log(`lost ${at} ${why} ${own}`);
      socket
        .removeAllListeners()
        .on("error", () => undefined)
        .destroy();
      resolve();
    };
    const timer = setTimeout(() => end("no-answer"), PATIENCE_MS);
    socket.once("connect", () => isPostgres && socket.write(SSL_REQUEST));
    socket.once("data", () => end());
    socket.once("end", () => end("ended"));
    socket.once("error", ({ code = "error" }: NodeJS.ErrnoException) => end(code));
  });

if (import.meta.main) {
  const [host = "", port, everyMs, kind] = process.argv.slice(2);
  const under = new Set<Promise<void>>();
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    const visiting = visit(host, Number(port), kind === "postgres").then(() => void under.delete(visiting));
    under.add(visiting);
  }, Number(everyMs));
  process.once("SIGTERM", () => {
    clearInterval(timer);
    void Promise.all(under).then(() => {
      console.log(`visits ${count}`);
      process.exit();
    });
  });
}
