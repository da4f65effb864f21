/**
 * What the webhook is measured against: Fastify as it comes, over TLS, with a constant answer. Takes `{cert, key,
 * answer}` by message, says its port, and on any later message the CPU time that it has used, in microseconds.
 */
import type { AddressInfo } from "node:net";
import Fastify from "fastify";

export type Setup = { readonly cert: string; readonly key: string; readonly answer: string };

process.once("message", ({ cert, key, answer }: Setup) => {
  const app = Fastify({ https: { cert, key } });
  app.post("/mutate", (_request, reply) => reply.type("application/json; charset=utf-8").send(answer));
  void app.listen({ host: "127.0.0.1", port: 0 }).then(() => {
    process.send?.((app.server.address() as AddressInfo).port);
    process.on("message", () => {
      const { user, system } = process.cpuUsage();
      process.send?.(user + system);
    });
  });
});
