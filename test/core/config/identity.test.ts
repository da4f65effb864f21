import t from "tap";
import { readConfig } from "../../../src/core/config/config.ts";
import { identityHolder } from "../../../src/core/config/identity.ts";

const problems = (yaml: string): string => {
  const read = readConfig(yaml);
  return read.kind === "invalid" ? read.problems.join("\n") : "";
};
const gateway = (name: string, where: string, ...tunnels: readonly string[]): string =>
  `{name: ${name}, ${where}tunnels: [${tunnels.map((tunnel) => `{${tunnel}}`).join()}]}`;
const config = (...gateways: readonly string[]): string => `defaultGateway: a\ngateways: [${gateways.join()}]`;
const WG0 = "name: wg0, secretName: peer";

t.test("a config that names one identity twice is refused with both places", async (t) => {
  for (const [what, yaml, place] of [
    [
      "two gateways",
      config(gateway("a", "namespace: n, ", WG0), gateway("b", "namespace: n, ", WG0)),
      "gateways[1].tunnels[0]",
    ],
    [
      "two tunnels, by the same key",
      config(gateway("a", "namespace: n, ", WG0, "name: wg1, secretName: peer, secretKey: wg0.conf")),
      "gateways[0].tunnels[1]",
    ],
    ["two gateways in each namespace", config(gateway("a", "", WG0), gateway("b", "", WG0)), "gateways[1].tunnels[0]"],
  ] as const)
    t.equal(
      problems(yaml),
      `${place}.secretName: "peer" with the key "wg0.conf" is the identity of gateways[0].tunnels[0], and one pod alone may hold it`,
      what,
    );
});

t.test("other keys, other namespaces and gateways that are off hold other identities, or none", async (t) => {
  for (const yaml of [
    config(gateway("a", "namespace: n, ", WG0, "name: wg1, secretName: peer")),
    config(gateway("a", "namespace: n, ", WG0), gateway("b", "namespace: m, ", WG0)),
    config(gateway("a", "namespace: n, ", WG0), gateway("b", "namespace: n, enabled: false, ", WG0)),
  ])
    t.equal(problems(yaml), "");
});

t.test("a Deployment that mounts the identity is found, unless it runs no pod", async (t) => {
  const own = { name: "new", namespace: "vpn", tunnels: [{ name: "wg0", secretNames: ["peer"] }] };
  const deployment = (name: string, secret: object, replicas?: number, namespace = "vpn") => ({
    metadata: { name, namespace },
    spec: { ...(replicas !== undefined && { replicas }), template: { spec: { volumes: [{ name: "x" }, { secret }] } } },
  });
  const key = (name: string) => ({ secretName: "peer", items: [{ key: name }] });
  const found = { holder: "vpn/old", secretName: "peer" };
  t.strictSame(identityHolder(own, [deployment("old", key("wg0.conf"))]), found);
  t.strictSame(identityHolder(own, [deployment("old", { secretName: "peer" }, 1)]), found, "the whole Secret");
  t.strictSame(
    identityHolder(own, [deployment("new", key("wg0.conf"), 1, "former")]),
    { holder: "former/new", secretName: "peer" },
    "its own name, elsewhere",
  );
  for (const other of [
    deployment("old", key("wg1.conf")),
    deployment("old", { secretName: "other" }),
    deployment("old", key("wg0.conf"), 0),
    deployment("new", key("wg0.conf")),
    { metadata: { name: "old", namespace: "vpn" } },
  ])
    t.equal(identityHolder(own, [other]), undefined);
});
