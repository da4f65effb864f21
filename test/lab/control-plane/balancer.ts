// A Service, as in a cluster: new connections go round the ready replicas, and an open one stays at its replica.
import { once } from "node:events";
import { get } from "node:https";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../wait.ts";

/** How often the replicas are asked whether they are ready: as a readiness probe, only quicker. */
const PROBE_MS = 100;

export type Balancer = {
  /** Returns when exactly these ports are ready. */
  readonly settled: (ports: readonly number[]) => Promise<void>;
  readonly close: () => Promise<void>;
};

/** Listens on `port` of loopback, before webhooks on `replicas`. */
export const startBalancer = async (port: number, replicas: readonly number[]): Promise<Balancer> => {
  const open = new Set<Socket>();
  let ready: readonly number[] = [];
  let next = 0;
  let isClosing = false;
  const server = createServer((client) => {
    const replica = ready[next++ % ready.length];
    if (replica === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect(replica, "127.0.0.1");
    join(client, upstream);
    join(upstream, client);
  });
  const join = (from: Socket, to: Socket): void => {
    open.add(from);
    from.pipe(to);
    from.on("error", () => undefined);
    from.on("close", () => {
      open.delete(from);
      to.destroy();
    });
  };
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const probe = async (): Promise<void> => {
    while (!isClosing) {
      const states = await Promise.all(replicas.map(isReady));
      ready = replicas.filter((_, index) => states[index]);
      await sleep(PROBE_MS);
    }
  };
  const probing = probe();
  return {
    settled: async (ports) => {
      await until(`the ready ports ${ports.join()}`, () => ready.join() === ports.join(), 60_000);
    },
    close: async () => {
      isClosing = true;
      await probing;
      open.forEach((socket) => socket.destroy());
      server.close();
      await once(server, "close");
    },
  };
};

const isReady = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const options = {
      host: "127.0.0.1",
      port,
      path: "/readyz",
      agent: false,
      rejectUnauthorized: false,
      timeout: 2000,
    };
    const call = get(options, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    call.on("timeout", () => call.destroy());
    call.on("error", () => resolve(false));
  });
