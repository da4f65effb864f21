/** Callers of the webhook, by the client certificate of their connection. */
import type { TLSSocket } from "node:tls";
import type { FastifyBaseLogger } from "fastify";
import { perObject } from "../core/memo.ts";
import { plain } from "../core/message.ts";

/** Whose reviews are taken. */
export type CallerRule = {
  /** PEM: the CA that signed the API server's client certificate. */
  readonly ca: string;
  /** Common names, one of which the certificate must have; absent: every certificate of the CA. */
  readonly names?: readonly string[];
};

export const CALLERS = ["no-certificate", "unchecked-certificate", "wrong-certificate", "api-server"] as const;

export type Caller = {
  /** `unchecked-certificate`: there is no rule. `wrong-certificate`: of another CA, ended, or of another name. */
  readonly kind: (typeof CALLERS)[number];
  /** The certificate's common name, and why it is wrong. */
  readonly name?: string;
  readonly why?: string;
};

type Guard = (socket: object) => string | undefined;

/**
 * Makes the function that says why a connection's reviews are not taken; undefined: they are. Counts reviews by caller,
 * and says once of each kind that there is one.
 */
export const callerGuard = (
  rule: CallerRule | undefined,
  count: (kind: Caller["kind"]) => void,
  log: FastifyBaseLogger,
): Guard => {
  const callerOf = perObject((socket: object) => readCaller(socket as TLSSocket, rule));
  const known = new Set<string>();
  return (socket) => {
    const caller = callerOf(socket);
    const { kind, name, why } = caller;
    count(kind);
    if (!known.has(kind)) {
      known.add(kind);
      log[kind === "wrong-certificate" ? "warn" : "info"]({ caller: kind, name, detail: why }, SAYS[kind]);
    }
    return rule === undefined || kind === "api-server" ? undefined : refusal(caller);
  };
};

const SAYS = {
  "no-certificate": "a caller presents no client certificate",
  "unchecked-certificate": "a caller presents a client certificate, which is not checked: --client-ca is not set",
  "wrong-certificate": "a caller presents a client certificate that is not the API server's",
  "api-server": "a caller presents the API server's client certificate",
} as const satisfies Record<Caller["kind"], string>;

/** A connection has one caller: it is read once. */
const readCaller = (socket: TLSSocket, rule: CallerRule | undefined): Caller => {
  const { subject } = socket.getPeerCertificate();
  // Node gives an empty object where there is no certificate, which its types do not know.
  if ((subject as unknown) === undefined) return { kind: "no-certificate" };
  const name = plain([subject.CN].flat().join(" "), 64);
  if (rule === undefined) return { kind: "unchecked-certificate", name };
  if (!socket.authorized) return { kind: "wrong-certificate", name, why: String(socket.authorizationError) };
  if (rule.names?.includes(name) === false)
    return { kind: "wrong-certificate", name, why: `it is none of ${rule.names.join(", ")}` };
  return { kind: "api-server", name };
};

const refusal = ({ kind, name, why }: Caller): string =>
  `reviews are taken from the API server's client certificate only, and this caller presents ${
    kind === "no-certificate" ? "none" : `that of ${name} (${why})`
  }: name a certificate for the webhook in the kubeconfig of the API server's AdmissionConfiguration`;
