/** The types of the values in the admin's config. */
import * as z from "zod";
import { type AllowedTarget, readAllowedTarget } from "./allowed.ts";
import { forbiddenHost, readHost } from "../host.ts";
import { quote } from "../schema.ts";

/** Fields that Kubernetes checks itself (resources, affinity, …) pass unchanged. */
export const passed = z.record(z.string(), z.unknown(), { error: "not a map of keys and values" });

export const passedList = z.array(passed, { error: "not a list of maps" });

export const text = z.string({ error: "not a text" }).min(1, "is empty");

const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
export const namespaceName = text.regex(NAMESPACE, {
  error: (issue) => `${quote(issue.input)} is not the name of a namespace`,
});

/** A namespace's name, or a pattern of names: `team-*`. */
export const namespacePattern = text.refine((value) => NAMESPACE.test(value.replace("*", "x")) && value !== "*", {
  error: ({ input }) =>
    input === "*"
      ? '"*" is every namespace: leave the list out, or write the targets into allowedTargets'
      : `${quote(input)} is not the name of a namespace, nor a pattern with one * such as team-*`,
});

/** DNS subdomain (RFC 1123), as the names of most objects are. */
export const objectName = text.regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, {
  error: (issue) => `${quote(issue.input)} is not the name of an object`,
});

export const hostField = text.transform((value, context) => {
  const reading = readHost(value);
  const problem = reading.kind === "invalid" ? reading.why : forbiddenHost(reading.host);
  if (reading.kind !== "invalid" && problem === undefined) return reading.host;
  context.addIssue(`${quote(value)}: ${problem}`);
  return z.NEVER;
});

export const allowedTarget = text.transform((value, context): AllowedTarget => {
  const read = readAllowedTarget(value);
  if (typeof read !== "string") return read;
  context.addIssue(`${quote(value)}: ${read}`);
  return z.NEVER;
});

/** A DNS name or `*.suffix`, without a port. */
export const allowedAlias = text.transform((value, context): AllowedTarget => {
  const read = readAllowedTarget(value);
  if (typeof read === "string") context.addIssue(`${quote(value)}: ${read}`);
  else if (read.kind === "network" || read.port !== undefined)
    context.addIssue(`${quote(value)} is not a DNS name nor a pattern such as *.corp.example.com`);
  else return read;
  return z.NEVER;
});

const DURATION_UNITS = { s: 1, m: 60, h: 3600, d: 86400 } as const;
/** `30s`, `15m`, `24h`, `7d`; read as seconds. */
export const duration = text.transform((value, context) => {
  const match = /^([1-9]\d{0,6})([smhd])$/.exec(value);
  if (match !== null) return Number(match[1]) * DURATION_UNITS[match[2] as keyof typeof DURATION_UNITS];
  context.addIssue(`${quote(value)} is not a duration such as 30m, 24h or 7d`);
  return z.NEVER;
});

const LABEL_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
const LABEL_VALUE = new RegExp(`^(${LABEL_NAME})?$`);
const LABEL_KEY = new RegExp(`^(?=.{1,253}/|[^/]*$)([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?${LABEL_NAME}$`);

const labelValue = z
  .string({
    error: (issue) => `${quote(issue.input)} is not a label's value: it is no text; write it as text, in quotes`,
  })
  .regex(LABEL_VALUE, {
    error: (issue) =>
      `${quote(issue.input)} is not a label's value: at most 63 of A-Z a-z 0-9 - _ . that begin and end with a letter or digit`,
  });

/** Labels as Kubernetes takes them: others match no pod, because none can have them. */
export const labels = z.record(z.string().regex(LABEL_KEY), labelValue, {
  error: (issue) =>
    issue.code === "invalid_key"
      ? `${quote(issue.input)} is not a label's key: a name of at most 63 of A-Z a-z 0-9 - _ ., after a DNS name and / if need be`
      : "not a map of labels",
});
