/**
 * The reference for a start: Fastify as it comes, over plain HTTP, with a constant answer. Logs where it serves, as the
 * webhook does.
 */
import type { AddressInfo } from "node:net";
import Fastify from "fastify";

const app = Fastify({ logger: true });
app.post("/mutate", (_request, reply) => reply.type("application/json; charset=utf-8").send(`{"allowed":true}`));
await app.listen({ host: "127.0.0.1", port: 0 });
app.log.info({ url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}` }, "serving");
// A clean end, as the webhook has: Node writes its compile cache then.
process.once("SIGTERM", () => process.exit());
