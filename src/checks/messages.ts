/** One message of flowgen, its drivers or Kubernetes about a connection or a pod that does not come about. */
export type Message = {
  /** The words by which it is found: a piece of any of them is enough. */
  readonly says: readonly string[];
  /** Where it stands, if not in flowgen's log. */
  readonly where?: string;
  readonly means: string;
  /** The remedy. */
  readonly fix: string;
  /** NAME and NS stand for the user's Deployment and its namespace. */
  readonly run?: string;
};

const CHECK = "flowgen-gateway check deploy/NAME -n NS";
const EVENTS = "Events of a ReplicaSet";

/**
 * Messages of flows and pods that do not reach a target, with their meaning. `explain` and docs/messages.md read it.
 * The commands end with one cause and one fix.
 */
export const messages: readonly Message[] = [
  {
    says: ["Timed out in bb8"],
    means:
      "the pool of mssql_query got no connection in time: the host is not redirected, the gateway is down, or the server drops packets",
    fix: "mend what check names; where the gateway is ready and the server is silent, open the VPN's firewall",
    run: CHECK,
  },
  {
    says: ["certificate not valid for name", "NotValidForName", "hostname mismatch"],
    means:
      "the client dials the Service's name and compares it with the server's certificate: the target is redirected by env",
    fix: "set redirect: hostAlias for a host name, or give an address its name in aliases (docs/annotations.md)",
    run: "kubectl edit deployment NAME -n NS",
  },
  {
    says: ["Server selection timeout"],
    means: "MongoDB's driver reaches none of the members, or the members announce names that the pod cannot reach",
    fix: "annotate a target for each member of the replica set, by the name that it announces",
    run: CHECK,
  },
  {
    says: ["failed to lookup address information", "Name or service not known", "NXDOMAIN"],
    means: "the name exists on the private network only and no target has it, or the pod does not use cluster DNS",
    fix: "annotate the name as a target, with redirect: auto",
    run: CHECK,
  },
  {
    says: ["Connection refused (os error 111)"],
    means: "the gateway's Service has no such port, its pod is not ready, or the server itself refuses",
    fix: "mend what check names: a port that is not in the table is among it",
    run: CHECK,
  },
  {
    says: ["Connection reset by peer"],
    where: "at once",
    means: "the gateway takes the connection and cannot open its own: no tunnel, or no route behind the VPN",
    fix: "mend what check names; the gateway's log says which target could not be reached",
    run: "kubectl logs deployment/flowgen-wireguard-gateway -c port-forward -n flowgen-gateway",
  },
  {
    says: ["Connection timed out (os error 110)"],
    means:
      "packets are dropped: the pod dials the private address itself (not redirected), or the gateway's NetworkPolicy keeps it out",
    fix: "mend what check names",
    run: CHECK,
  },
  {
    says: ["No route to host (os error 113)"],
    means: "the gateway's pod is gone, or a node's firewall is in the way",
    fix: "mend what check names",
    run: "flowgen-gateway check",
  },
  {
    says: ["Login failed for user"],
    means: "the connection is through: user, password or database are wrong",
    fix: "correct the credentials file",
  },
  {
    says: ['admission webhook "pods.flowgen.io" denied the request: CODE: …'],
    where: EVENTS,
    means: "the pod was refused, for the reason with this code",
    fix: "do what the message's end says; docs/reasons.md lists all codes",
    run: "flowgen-gateway explain CODE",
  },
  {
    says: ['failed calling webhook "pods.flowgen.io"'],
    where: EVENTS,
    means: "the API server does not reach the webhook: certificate, Service, firewall",
    fix: "mend what check names",
    run: "flowgen-gateway check",
  },
];

/** As text is compared: without case, quotes and runs of blanks. */
const bare = (text: string): string =>
  text
    .toLowerCase()
    .replace(/["'`“”]/g, "")
    .replace(/\s+/g, " ")
    .trim();

/** Shorter pieces stand in most messages. */
const SHORTEST = 3;

/** The messages that a text means: a piece of one, or a line of a log that holds one. */
export const messagesWith = (text: string): readonly Message[] => {
  const piece = bare(text);
  if (piece.length < SHORTEST) return [];
  return messages.filter(({ says }) =>
    says.map(bare).some((own) => own.includes(piece) || piece.includes(own.replace(/: code: …$/, ""))),
  );
};
