// Servers behind a tunnel and clients in front of the gateway.
import { join } from "node:path";
import { tryRun, run, startOn, type Host, type Started } from "./hosts.ts";
import type { Network } from "./network.ts";
import { ANSWERED, type Heard, type Talk } from "./talk.ts";
import { until } from "../../wait.ts";

const script = (name: string): string[] => [process.execPath, "--no-warnings", join(import.meta.dirname, name)];

export const startTarget = async (host: Host, address: string, port: number, name: string): Promise<Started> => {
  const target = startOn(host, [...script("target.ts"), address, `${port}`, name]);
  await until(`target ${name}`, () => target.output().includes("listening"));
  return target;
};

const readHeard = (output: string): Heard[] => JSON.parse(output.trim().split("\n").at(-1) ?? "[]") as Heard[];

export const talkAll = (network: Network, port: number, options: Partial<Talk> = {}): Heard[] => {
  const talk: Talk = { host: network.address, port, ...options };
  return readHeard(run(network.client, [...script("talk.ts"), `'${JSON.stringify(talk)}'`].join(" ")));
};

export const talk = (network: Network, port: number, options: Partial<Talk> = {}): Heard =>
  talkAll(network, port, options)[0] ?? { text: "" };

type Talking = { readonly output: () => string; readonly heard: Promise<Heard> };

// Talks while the test goes on.
export const startTalk = (network: Network, port: number, options: Partial<Talk> = {}): Talking => {
  const talk: Talk = { host: network.address, port, ...options };
  const { ended, output } = startOn(network.client, [...script("talk.ts"), JSON.stringify(talk)]);
  return { output, heard: ended.then(() => readHeard(output())[0] ?? { text: "" }) };
};

// The same, once the target has answered.
export const startSession = async (...talk: Parameters<typeof startTalk>): Promise<Talking> => {
  const talking = startTalk(...talk);
  await until("a session", () => talking.output().includes(ANSWERED));
  return talking;
};

// Waits until the forward on this port greets with NAME; resolves to the milliseconds it took.
export const untilHeard = async (
  network: Network,
  port: number,
  name: string,
  milliseconds?: number,
): Promise<number> => {
  const request = `timeout 1 socat -t 0.1 TCP4:${network.address}:${port},connect-timeout=1 - </dev/null`;
  return until(`${name} on port ${port}`, () => tryRun(network.client, request).output.includes(name), milliseconds);
};

export const untilRefused = async (network: Network, port: number): Promise<number> => {
  const request = `socat -u OPEN:/dev/null TCP4:${network.address}:${port},connect-timeout=1`;
  return until(`port ${port} refuses`, () => tryRun(network.client, request).output.includes("refused"));
};

// One client that opens connections and holds them all, until it is killed; its last line says how many it has.
export const startFlood = (network: Network, port: number, perSecond: number): Started =>
  startOn(network.client, [...script("flood.ts"), network.address, `${port}`, `${perSecond}`]);
