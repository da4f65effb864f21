/** One tunnel of a gateway. */
import * as z from "zod";
import { FIRST_LISTEN_PORT, LAST_LISTEN_PORT } from "../forwards/ports.ts";
import { dnsLabel, port, quote, strict, tunnelName } from "../schema.ts";
import { repeated } from "../repeats.ts";
import { admitsNamespace, isPattern } from "./namespaces.ts";
import { MOST_IDENTITIES } from "./siblings.ts";
import { allowedAlias, allowedTarget, hostField, namespacePattern, text } from "./values.ts";

const secretName = text.regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, {
  error: (issue) => `${quote(issue.input)} is not the name of a Secret`,
});

const portForward = strict({
  name: dnsLabel.describe("names the forward and the Service's port"),
  port: port
    .refine((value) => value >= FIRST_LISTEN_PORT && value <= LAST_LISTEN_PORT, {
      error: (issue) =>
        `${quote(issue.input)}: the gateway's pod listens on ${FIRST_LISTEN_PORT}-${LAST_LISTEN_PORT}; write such a port, and ` +
        "the Service's port as servicePort",
    })
    .describe("the port that the gateway's pod listens on"),
  targetHost: hostField.describe("the private server: IPv4, IPv6 or DNS name"),
  targetPort: port.describe("its port"),
  servicePort: port.optional().describe("the Service's port; default: `port`"),
});

/** One grant beside the tunnel's own. */
const rule = strict({
  namespaces: z
    .array(namespacePattern, { error: "not a list of namespaces" })
    .min(1, "names no namespace")
    .describe("names, and patterns such as team-*; of the namespaces that may use the tunnel"),
  allowedTargets: z
    .array(allowedTarget, { error: "not a list" })
    .min(1, "grants nothing")
    .describe("as the tunnel's; granted to pods of these namespaces alone"),
});

/** A WireGuard identity, and who may reach what by it. */
export const tunnel = strict({
  name: tunnelName.describe("of the interface"),
  secretName: secretName
    .optional()
    .describe("the Secret with the tunnel's WireGuard config, in the gateway's namespace"),
  secretNames: z
    .array(secretName, { error: "not a list of Secrets" })
    .min(1, "names no Secret")
    .max(MOST_IDENTITIES, `names more than ${MOST_IDENTITIES} Secrets`)
    .optional()
    .describe(
      "instead of secretName: a Secret for each WireGuard identity; each has a pod of its own, behind the same Services (docs/gateway.md)",
    ),
  secretKey: text
    .regex(/^[-._a-zA-Z0-9]{1,253}$/, { error: (issue) => `${quote(issue.input)} is not the key of a Secret` })
    .optional()
    .describe("the Secret's key; default: the tunnel's name and `.conf`"),
  mtu: z
    .int({ error: (issue) => `${quote(issue.input)} is not an MTU (1280-9000)` })
    .min(1280)
    .max(9000)
    .optional()
    .describe("of the interface; default: the Secret's, else what fits into eth0's, 1420 at most"),
  allowedTargets: z
    .array(allowedTarget, { error: "not a list" })
    .default([])
    .describe(
      "CIDRs, addresses, names and *.suffixes, each with an optional :port; what is not listed is refused; default: nothing",
    ),
  namespaces: z
    .array(namespacePattern, { error: "not a list of namespaces" })
    .min(1, "names no namespace: leave it out for every namespace")
    .optional()
    .describe("whose pods may use the tunnel: names, and patterns such as team-*; absent: every namespace's"),
  rules: z
    .array(rule, { error: "not a list of rules" })
    .default([])
    .describe("targets for some namespaces alone, beside allowedTargets, which all that may use the tunnel may reach"),
  allowedAliases: z
    .array(allowedAlias, { error: "not a list" })
    .default([])
    .describe("names and *.suffixes that pods may give to this tunnel's targets as `aliases`; default: none"),
  portForwards: z
    .array(portForward, { error: "not a list" })
    .nullish()
    .transform((value) => value ?? [])
    .describe("static forwards, there from the start and open to every flowgen pod of the tunnel's namespaces"),
})
  .superRefine((value, context) => {
    const { secretName: one, secretNames: several } = value;
    if ((one === undefined) === (several === undefined)) {
      const message =
        one === undefined
          ? "is missing: the Secret with the tunnel's WireGuard config"
          : "is written beside secretNames: keep one of the two";
      context.addIssue({ code: "custom", path: ["secretName"], message });
    }
    repeated(several ?? []).forEach(([index, first, name]) =>
      context.addIssue({
        code: "custom",
        path: ["secretNames", index],
        message: `${quote(name)} is secretNames[${first}] already, and one pod alone may hold an identity`,
      }),
    );
    value.rules.forEach(({ namespaces }, index) =>
      namespaces.forEach((name, at) => {
        if (isPattern(name) || admitsNamespace(value, name)) return;
        context.addIssue({
          code: "custom",
          path: ["rules", index, "namespaces", at],
          message: `${quote(name)} may not use the tunnel: add it to the tunnel's namespaces, or leave these out`,
        });
      }),
    );
  })
  .transform(({ secretName: one, secretNames: several = [], ...rest }) => {
    const secretNames = one === undefined ? several : [one];
    // The first one's: of a gateway with several tunnels, and where one name stands for all.
    const [secretName = ""] = secretNames;
    return { ...rest, secretName, secretNames };
  });
