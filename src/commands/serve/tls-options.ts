import { readFile } from "node:fs/promises";
import type { CertificatePolicy } from "../../certificates/judgement.ts";
import { UsageError } from "../options/options.ts";

/** How the webhook's own certificates are to be like, and where they are kept. */
export type CertificateOptions = {
  /** DNS names and IP addresses; default: the Service's in its namespace. */
  readonly tlsNames?: readonly string[];
  readonly tlsLifetime: number;
  readonly tlsCaLifetime: number;
  readonly tlsSettleSeconds: number;
  /** Default: this pod's. */
  readonly namespace?: string;
  readonly webhookConfiguration: string;
};

export type ServeTlsOptions = CertificateOptions & {
  readonly plainHttp: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsSecret?: string;
  /** The webhook puts a secret into its path in the registration. */
  readonly ownPathToken?: boolean;
};

/** Where `serve` has its certificate from. */
export type TlsSource =
  | { readonly kind: "plain" }
  | { readonly kind: "files"; readonly paths: readonly [cert: string, key: string] }
  | { readonly kind: "secret"; readonly namespace: string; readonly name: string; readonly policy: CertificatePolicy };

const CHOICES =
  "give one of --tls-cert with --tls-key, --tls-secret, or --plain-http (behind a platform that ends TLS itself)";

/** The one source that the options name. Throws a UsageError for none, several, or half of one. */
export const tlsSource = async (options: ServeTlsOptions): Promise<TlsSource> => {
  const { plainHttp, tlsCert, tlsKey, tlsSecret } = options;
  const given = [
    ...(plainHttp ? ["--plain-http"] : []),
    ...(tlsSecret === undefined ? [] : ["--tls-secret"]),
    ...(tlsCert === undefined && tlsKey === undefined ? [] : ["--tls-cert or --tls-key"]),
  ];
  if (given.length === 0) throw new UsageError(`no certificate: ${CHOICES}`);
  if (given.length > 1) throw new UsageError(`${given.join(" and ")} do not go together: ${CHOICES}`);
  if (tlsSecret !== undefined) {
    const namespace = await namespaceOf(options);
    const asked = certificatePolicy(options, namespace);
    const policy = options.ownPathToken === true ? { ...asked, hasPathToken: true } : asked;
    return { kind: "secret", namespace, name: tlsSecret, policy };
  }
  if (options.ownPathToken === true)
    throw new UsageError("--own-path-token is made from the key of the webhook's own CA: give --tls-secret too");
  if (plainHttp) return { kind: "plain" };
  if (tlsCert === undefined || tlsKey === undefined)
    throw new UsageError(`${tlsCert === undefined ? "--tls-cert" : "--tls-key"} is missing: both are needed`);
  return { kind: "files", paths: [tlsCert, tlsKey] };
};

/** The policy that the options describe, for a webhook in `namespace`. */
export const certificatePolicy = (
  options: Omit<CertificateOptions, "webhookConfiguration">,
  namespace: string,
): CertificatePolicy => {
  const { tlsNames, tlsLifetime, tlsCaLifetime, tlsSettleSeconds } = options;
  if (tlsCaLifetime < 2 * tlsLifetime)
    throw new UsageError(
      "--tls-ca-lifetime is less than twice --tls-lifetime: no certificate outlives its CA, so give the CA longer or the certificate less",
    );
  return {
    names: tlsNames ?? [`flowgen-gateway-webhook.${namespace}.svc`],
    leafMs: tlsLifetime,
    caMs: tlsCaLifetime,
    settleMs: tlsSettleSeconds * 1000,
  };
};

const NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/** The namespace that is given, or this pod's own: from POD_NAMESPACE, or from its ServiceAccount. */
export const namespaceOf = async (
  { namespace }: Pick<CertificateOptions, "namespace">,
  file = NAMESPACE_FILE,
): Promise<string> => {
  const known = namespace ?? process.env["POD_NAMESPACE"];
  if (known !== undefined && known !== "") return known;
  try {
    return (await readFile(file, "utf8")).trim();
  } catch {
    throw new UsageError(`--namespace is missing: this is no pod (there is no ${file}, and POD_NAMESPACE is not set)`);
  }
};
