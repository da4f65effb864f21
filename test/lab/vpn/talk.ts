// A client for the tests: `node talk.ts JSON`. Opens connections. Its last line has the answers, and when each
// connection ended. A line before says that one of them has its first answer.
import { connect } from "node:net";

export type Talk = {
  readonly host: string;
  readonly port: number;
  readonly connections?: number;
  readonly halfClose?: boolean; // end our side at once, wait for the other's
  readonly say?: string;
  readonly afterMs?: number; // when to say it
  readonly forMs?: number; // how long to wait before we hang up
};
export type Heard = { text: string; error?: string; connectedMs?: number; firstByteMs?: number; endedMs?: number };

export const ANSWERED = "answered";

const hear = async ({ host, port, halfClose = false, say, afterMs = 0, forMs = 500 }: Talk): Promise<Heard> => {
  const begun = performance.now();
  const elapsed = (): number => Math.round(performance.now() - begun);
  const heard: Heard = { text: "" };
  return new Promise((resolve) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    const timer = setTimeout(() => socket.destroy(), forMs);
    socket.on("connect", () => {
      heard.connectedMs = elapsed();
      if (say !== undefined) setTimeout(() => socket.write(say), afterMs);
      if (halfClose) socket.end();
    });
    socket.setEncoding("utf8").on("data", (text: string) => {
      if (heard.firstByteMs === undefined) console.log(ANSWERED);
      heard.firstByteMs ??= elapsed();
      heard.text += text;
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      heard.error = error.code ?? error.message;
      heard.endedMs ??= elapsed();
    });
    socket.on("end", () => {
      heard.endedMs = elapsed();
      socket.end();
    });
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(heard);
    });
  });
};

if (import.meta.main) {
  const talk = JSON.parse(process.argv[2] ?? "{}") as Talk;
  const all = await Promise.all(Array.from({ length: talk.connections ?? 1 }, async () => hear(talk)));
  console.log(JSON.stringify(all));
}
