/** The webhook's Deployment and its certificate. */
import { expiryOf, readCertificate } from "../certificates/x509.ts";
import type { KubeObject } from "../cluster/cluster.ts";
import { type Finding, findingsOf, NO_OBJECT, type Seen } from "./finding.ts";
import { dataOf, podSpecOf, statusIn } from "./objects.ts";
import type { Trouble } from "./trouble.ts";

const say = findingsOf("webhook");

/**
 * `version`: this program's. `trouble`: why its pod does not start. A webhook outside the cluster has no Deployment.
 */
export const imageFindings = (
  deployment: Seen<KubeObject | undefined>,
  version: string,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  trouble: Trouble | undefined,
): readonly Finding[] => {
  const object = `Deployment ${namespace}/${name}`;
  if (deployment.kind === "unseen") return [say.unseen(object, deployment.why)];
  if (deployment.value === undefined) return [say.ok(object, "there is none: the webhook runs elsewhere")];
  const { image = "", args = [] } = podSpecOf(deployment.value).containers?.[0] ?? {};
  const tag = /:(\d+\.\d+\.\d+[^@/]*)(@|$)/.exec(image)?.[1];
  const ready = statusIn(deployment.value).readyReplicas ?? 0;
  const callers = args.some((arg) => arg.startsWith("--client-ca"))
    ? "takes reviews from client certificates of its CA only"
    : "takes reviews from every caller of its port";
  return [
    ready === 0 ? troubled(object, trouble) : say.ok(object, `${ready} ready, ${callers}`),
    ...(tag !== undefined && tag !== version
      ? [say.fault("version-differs", object, `${tag}, this program is ${version}`)]
      : []),
  ];
};

/** Only the log is a command of the webhook's own pod; those of other codes change a gateway's config. */
const troubled = (object: string, { code, detail }: Partial<Trouble> = {}): Finding =>
  code === undefined || code === "no-endpoints"
    ? say.fault("no-endpoints", object, detail, NO_OBJECT)
    : say.fault(code, object, detail);

/** A third of the lifetime before its end a certificate is renewed; half of that third is time enough to notice. */
const LATE = 1 / 6;
/** `now`: milliseconds since 1970. */
export const certificateFindings = (
  secret: Seen<KubeObject | undefined>,
  object: string,
  now: number,
): readonly Finding[] => {
  if (secret.kind === "unseen") return [say.unseen(object, secret.why)];
  if (secret.value === undefined) return [];
  const certificate = readCertificate(Buffer.from(dataOf(secret.value)["tls.crt"] ?? "", "base64").toString());
  if (certificate === undefined) return [say.unseen(object, "tls.crt holds no certificate that can be read")];
  const end = expiryOf(certificate);
  const until = new Date(end).toISOString().slice(0, 10);
  if (end <= now) return [say.fault("certificate-expired", object, `it ended on ${until}`)];
  const isLate = end - now < LATE * (end - certificate.validFromDate.getTime());
  return [
    isLate
      ? say.fault("certificate-ends", object, `it ends on ${until}`, NO_OBJECT)
      : say.ok(object, `valid until ${until}`),
  ];
};
