/** Inputs and open connections of clients that are no API server, by name: a function of the size (1, 2, 4). */
import { once } from "node:events";
import { Agent } from "node:https";
import { connect, type TLSSocket } from "node:tls";
import { reviewOf } from "../../lab/control-plane/mutate.ts";
import { flowgenPod, targets } from "../../lab/control-plane/scene.ts";
import { send } from "../../server/client.ts";
import { fill, list, podReview } from "./pods.ts";

/** A server's address, and the CA of its certificate, PEM. */
type Server = { readonly url: string; readonly ca: string };

export type Done = { readonly bytes: number; readonly reviews: number; readonly says: string };

const post = async ({ url, ca }: Server, body: string): Promise<Done> => {
  const { status } = await send(`${url}/mutate`, { ca, body });
  return { bytes: body.length, reviews: 1, says: String(status) };
};

const open = async ({ url, ca }: Server): Promise<TLSSocket> => {
  const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1", ca });
  socket.on("error", () => undefined).resume();
  await Promise.race([once(socket, "secureConnect"), once(socket, "close")]);
  return socket;
};

/** An honest pod beside what is held open. */
const beside = async ({ url, ca }: Server, held: readonly TLSSocket[]): Promise<string> => {
  const agent = new Agent({ ca });
  const { status } = await send(`${url}/mutate`, { agent, body: podReview("sql=10.0.0.5:1433", [[]], "honest") });
  return `${held.filter((socket) => !socket.closed).length} are open; an honest pod: ${status}`;
};

export const STRANGERS: Readonly<Record<string, (server: Server, times: number) => Promise<Done>>> = {
  "4.4 MB of [": (server, times) => post(server, fill("[", 1_100_000 * times)),
  "6.9 MB of {},": (server, times) => post(server, `[${fill("{},", 1_725_000 * times)}{}]`),
  '6 MB of {"name":1}': (server, times) =>
    post(server, reviewOf({ metadata: {}, spec: { containers: list(136_000 * times, () => ({ name: 1 })) } })),
  "7 MB of one text": (server, times) => post(server, reviewOf({ x: fill("x", 1_700_000 * times) })),
  "33 bodies of 7 MiB, half sent": async (server, times) => {
    const half = 3_500_000;
    const sockets = await Promise.all(list(8 * times + 1, () => open(server)));
    const head = `POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${2 * half}\r\n\r\n`;
    for (const socket of sockets) socket.write(head + " ".repeat(half));
    const says = await beside(server, sockets);
    sockets.forEach((socket) => socket.destroy());
    return { bytes: half * sockets.length, reviews: sockets.length, says };
  },
  "3,600 TLS connections that say nothing": async (server, times) => {
    const sockets: TLSSocket[] = [];
    for (let count = 0; count < 900 * times; count += 50)
      sockets.push(...(await Promise.all(list(50, () => open(server)))));
    const says = await beside(server, sockets);
    sockets.forEach((socket) => socket.destroy());
    return { bytes: 0, reviews: sockets.length, says };
  },
  "1,000 namespaces with a gateway of their own": async (server, times) => {
    const agent = new Agent({ ca: server.ca, keepAlive: true, maxSockets: 20 });
    const pod = flowgenPod("default", "p", { ...targets("sql=10.0.0.5:1433"), "flowgen.io/gateway": "own" });
    const bodies = list(1000 * times, (at) => reviewOf(pod, { namespace: `ns-${at}`, dryRun: true }));
    const answers = await Promise.all(bodies.map((body) => send(`${server.url}/mutate`, { agent, body })));
    agent.destroy();
    const bytes = bodies.reduce((sum, { length }) => sum + length, 0);
    return { bytes, reviews: bodies.length, says: [...new Set(answers.map(({ status }) => status))].join() };
  },
};
