import t from "tap";
import { readConfig } from "../../../src/core/config/config.ts";
import { gatewayNameOf, gatewayPlaceOf } from "../../../src/core/config/siblings.ts";
import { INSTANCE, SIBLING_LABEL } from "../../../src/core/names.ts";

const problems = (...gateways: readonly string[]): string => {
  const read = readConfig(`defaultGateway: gw\ngateways: [${gateways.join()}]`);
  return read.kind === "invalid" ? read.problems.join("\n") : "";
};
const gateway = (tunnels: string, name = "gw", where = "namespace: n"): string =>
  `{name: ${name}, ${where === "" ? "" : `${where}, `}tunnels: [${tunnels}]}`;
const TWO = "{name: wg0, secretNames: [a, b]}";

t.test("identities that a gateway cannot have", async (t) => {
  for (const [tunnels, problem] of [
    [
      "{name: wg0, secretName: a, secretNames: [b, c]}",
      "secretName: is written beside secretNames: keep one of the two",
    ],
    ["{name: wg0}", "secretName: is missing: the Secret with the tunnel's WireGuard config"],
    ["{name: wg0, secretNames: []}", "secretNames: names no Secret"],
    ["{name: wg0, secretNames: a}", "secretNames: not a list of Secrets"],
    ["{name: wg0, secretNames: [a, b, c, d, e]}", "secretNames: names more than 4 Secrets"],
    ["{name: wg0, secretNames: [a, A_]}", 'secretNames[1]: "A_" is not the name of a Secret'],
    [
      "{name: wg0, secretNames: [a, b, a]}",
      'secretNames[2]: "a" is secretNames[0] already, and one pod alone may hold an identity',
    ],
    [
      `${TWO}, {name: wg1, secretName: c}`,
      "secretNames: a gateway of several identities has one tunnel: make this tunnel a gateway of its own",
    ],
    [
      "{name: wg0, secretNames: [a, b], portForwards: [{name: x, port: 2000, servicePort: 65535, targetHost: 10.0.0.5, targetPort: 1}]}",
      "portForwards[0].servicePort: 65535 is the port by which the gateway's pods ask for each other: write another one",
    ],
  ] as const)
    t.equal(problems(gateway(tunnels)), `gateways[0].tunnels[0].${problem}`, problem);
  t.equal(problems(gateway(TWO)), "");
  const forward = "portForwards: [{name: x, port: 2000, targetHost: 10.0.0.5, targetPort: 1}]";
  t.equal(problems(gateway(`{name: wg0, secretNames: [a, b], ${forward}}`)), "", "with a static forward");
  t.equal(problems(gateway("{name: wg0, secretNames: [a]}, {name: wg1, secretName: b}")), "", "a list of one");
});

t.test("an identity of another gateway is refused at its place in the list", async (t) => {
  t.equal(
    problems(gateway(TWO), gateway("{name: wg0, secretNames: [c, b]}", "other")),
    'gateways[1].tunnels[0].secretNames[1]: "b" with the key "wg0.conf" is the identity of gateways[0].tunnels[0], and one pod alone may hold it',
  );
});

t.test("a gateway of another's sibling's name is refused, where the two can meet", async (t) => {
  const one = "{name: wg0, secretName: z}";
  for (const name of ["gw-b", "gw-d", "gw-pods"])
    t.match(
      problems(gateway(TWO), gateway(one, name)),
      new RegExp(`^gateways\\[1\\]\\.name: "${name}" is the name of an object of gateways\\[0\\], which has several`),
    );
  t.not(problems(gateway(TWO), gateway("{name: wg9, secretName: z}", "gw-b", "")), "", "a gateway in any namespace");
  t.equal(problems(gateway(TWO), gateway(one, "gw-b", "namespace: m")), "", "another namespace");
  t.equal(problems(gateway(TWO), gateway(one, "gw-e")), "", "no name of a sibling");
  t.equal(problems(gateway("{name: wg0, secretName: a}"), gateway(one, "gw-b")), "", "one identity");
  t.match(
    problems(gateway("{name: wg0}"), gateway(one, "gw-b")),
    /^gateways\[0\]\.tunnels\[0\]\.secretName: is missing[^\n]*$/,
    "none",
  );
});

t.test("the selector of a Deployment says whose it is, and its labels do not", async (t) => {
  const selecting = (matchLabels: object): object => ({ selector: { matchLabels } });
  const metadata = { name: "gw-b", namespace: "n", labels: { "flowgen.io/gateway": "other" } };
  const sibling = { metadata, spec: selecting({ [SIBLING_LABEL]: "gw-b", [INSTANCE]: "gw" }) };
  t.equal(gatewayNameOf(sibling), "gw");
  t.strictSame(gatewayPlaceOf(sibling), { name: "gw", namespace: "n" });
  t.equal(gatewayNameOf({ metadata, spec: selecting({ [INSTANCE]: "gw-b" }) }), "gw-b", "a gateway of that name");
  t.equal(gatewayNameOf({ metadata }), "gw-b", "no spec");
  t.equal(gatewayNameOf({ metadata: {}, spec: selecting({ [SIBLING_LABEL]: "x" }) }), "", "no gateway");
  t.equal(gatewayNameOf({ metadata: {} }), "");
});
