/**
 * The servers that the webhook is measured against: Fastify as it comes, over TLS. With `answer` its answer is constant.
 * Without, it does the least that any webhook does for a pod: the parsed containers come back as the patch. Takes a
 * `Setup` by message and answers with its port. Any later message is answered with the CPU time used, in microseconds.
 */
import type { AddressInfo } from "node:net";
import Fastify from "fastify";

export type BareSetup = { readonly cert: string; readonly key: string; readonly answer?: string };

type Review = {
  readonly request: { readonly uid: string; readonly object: { readonly spec: { containers: unknown } } };
};

/** As many bytes as the webhook's answer, about. */
const leastAnswer = ({ request: { uid, object } }: Review): string => {
  const operations = [{ op: "replace", path: "/spec/containers", value: object.spec.containers }];
  const patch = Buffer.from(JSON.stringify(operations)).toString("base64");
  const response = { uid, allowed: true, patchType: "JSONPatch", patch };
  return JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response });
};

process.once("message", ({ cert, key, answer }: BareSetup) => {
  const app = Fastify({ https: { cert, key } });
  app.post("/mutate", (request, reply) =>
    reply.type("application/json; charset=utf-8").send(answer ?? leastAnswer(request.body as Review)),
  );
  void app.listen({ host: "127.0.0.1", port: 0 }).then(() => {
    process.send?.((app.server.address() as AddressInfo).port);
    process.on("message", () => {
      const { user, system } = process.cpuUsage();
      process.send?.(user + system);
    });
  });
});
