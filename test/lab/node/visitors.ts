// Clients on the node itself: many new connections a second to a PostgreSQL by the address of a Service.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { startVisits, type Visitors } from "../vpn/visits.ts";

/** `everyMs`: how often one comes. They end with this process. */
export const visitPostgres = (host: string, everyMs: number): Visitors =>
  startVisits(
    (command) => {
      const child = spawn("setpriv", ["--pdeathsig", "KILL", ...command], { stdio: ["ignore", "pipe", "inherit"] });
      let output = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
      const ended = (once(child, "close") as Promise<[number | null]>).then(([code]) => code);
      return { kill: (signal) => void child.kill(signal), ended, output: () => output };
    },
    { host, port: 5432, everyMs, more: ["postgres"] },
  );
