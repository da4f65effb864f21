import { pathWith, tokenIn } from "./own-path.ts";
import type { CertificateFailure } from "./reasons.ts";
import { type CertificateFiles, type Certificates, decodeData, encodeData, fromFiles, toFiles } from "./secret.ts";
import { MANAGED_BY, MANAGER } from "../core/names.ts";
import { type Cluster, type KubeObject, NEVER, type Ref, resources } from "../cluster/cluster.ts";
import { eventAbout, type EventText } from "../cluster/event.ts";
import { bestEffort } from "../cluster/waiting.ts";

/**
 * The certificates as they were read. `write` and `trust` fail with a 409 if another writer changed the object since.
 */
export type CertificateReading = {
  readonly kind: "read";
  readonly stored: Certificates | undefined;
  /** `caBundle` of each webhook, PEM; `undefined`: there is no webhook configuration. */
  readonly bundles: readonly string[] | undefined;
  /** The path of each webhook that is called by its Service. */
  readonly paths: readonly string[];
  readonly write: (certificates: Certificates, signal: AbortSignal) => Promise<void>;
  /** `token`: of the paths; undefined leaves the present one. */
  readonly trust: (bundle: string, token: string | undefined, signal: AbortSignal) => Promise<void>;
};
export type CertificateRefusal = { readonly kind: "refused"; readonly failure: CertificateFailure };

export type CertificateStore = {
  /** The name for messages. */
  readonly name: string;
  readonly read: (signal: AbortSignal) => Promise<CertificateReading | CertificateRefusal>;
  /** Writes an Event about a step; never rejects. */
  readonly note: (note: EventText, signal: AbortSignal) => Promise<void>;
};

/** The certificates in a Secret, and `caBundle` in the webhooks of a MutatingWebhookConfiguration. */
export const clusterStore = (
  cluster: Cluster,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  configuration: string,
): CertificateStore => {
  const secretRef: Ref = { kind: "Secret", namespace, name };
  let uid: string | undefined;
  return {
    name: `Secret ${namespace}/${name}`,
    read: async (signal) => {
      const [secret, bundles] = await Promise.all([
        cluster.get(secretRef, signal),
        readBundles(cluster, configuration, signal),
      ]);
      uid = secret?.metadata.uid;
      if (secret !== undefined && !isOwnSecret(secret)) return { kind: "refused", failure: "data-unmanaged" };
      return {
        kind: "read",
        stored: secret && fromFiles(decodeData(dataOf(secret))),
        ...bundles,
        write: async (certificates, signal) => {
          const written = await cluster.apply(secretManifest(secretRef, certificates, secret), signal);
          uid = written.metadata.uid;
        },
      };
    },
    note: (note, signal) => {
      const metadata = { namespace, name, ...(uid !== undefined && { uid }) };
      const about = { apiVersion: resources.Secret.apiVersion, kind: "Secret", metadata };
      return bestEffort(signal, (soon) => cluster.create(eventAbout(about, note), soon));
    },
  };
};

/** `caBundle` and the paths of the webhooks of a MutatingWebhookConfiguration, and a function that writes both. */
export const readBundles = async (
  cluster: Cluster,
  configuration: string,
  signal: AbortSignal,
): Promise<Pick<CertificateReading, "bundles" | "paths" | "trust">> => {
  const ref: Ref = { kind: "MutatingWebhookConfiguration", namespace: "", name: configuration };
  const webhooks = await cluster.get(ref, signal);
  return {
    bundles: webhooks && hooksOf(webhooks).map(hookBundle),
    paths: (webhooks ? hooksOf(webhooks) : []).flatMap(({ clientConfig: { service } = {} }) =>
      service ? [service.path ?? ""] : [],
    ),
    trust: async (bundle, token, signal) => {
      if (webhooks !== undefined) await cluster.apply(hooksManifest(webhooks, bundle, token), signal);
    },
  };
};

/** An empty Secret counts as own: an admin may create it, so that the webhook needs no right to create Secrets. */
const isOwnSecret = (secret: KubeObject): boolean =>
  secret.metadata.labels?.[MANAGED_BY] === MANAGER || Object.keys(dataOf(secret)).length === 0;

const dataOf = (secret: KubeObject): CertificateFiles => (secret["data"] ?? {}) as CertificateFiles;

type HookService = { readonly name: string; readonly namespace: string; readonly path?: string };
type Hook = {
  readonly name: string;
  readonly clientConfig?: { readonly caBundle?: string; readonly service?: HookService };
};
const hooksOf = (webhooks: KubeObject): readonly Hook[] => (webhooks["webhooks"] ?? []) as readonly Hook[];
const hookBundle = ({ clientConfig }: Hook): string => Buffer.from(clientConfig?.caBundle ?? "", "base64").toString();

const secretManifest = (ref: Ref, certificates: Certificates, read: KubeObject | undefined): KubeObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: {
    name: ref.name,
    namespace: ref.namespace,
    labels: { [MANAGED_BY]: MANAGER },
    resourceVersion: read?.metadata.resourceVersion ?? NEVER,
  },
  type: read?.["type"] ?? "kubernetes.io/tls", // immutable
  data: encodeData(toFiles(certificates)),
});

/**
 * Applies `caBundle`, and the paths where a token is given, alone: the installer owns all other fields. The
 * `resourceVersion` keeps a removed webhook from being created again without them.
 */
const hooksManifest = (webhooks: KubeObject, bundle: string, token: string | undefined): KubeObject => {
  const { apiVersion, kind, metadata } = webhooks;
  const { name = "", namespace, resourceVersion = NEVER } = metadata;
  const caBundle = Buffer.from(bundle).toString("base64");
  return {
    apiVersion,
    kind,
    metadata: { name, namespace, resourceVersion },
    webhooks: hooksOf(webhooks).map(({ name, clientConfig: { service } = {} }) => ({
      name,
      clientConfig: {
        caBundle,
        ...servicePart(service, token),
      },
    })),
  };
};

/**
 * Server-side apply removes fields that the same manager applied before and leaves out now. So a path with a token is
 * applied again, also by a writer that has no token.
 */
const servicePart = (service: HookService | undefined, token: string | undefined): object => {
  const wanted = token ?? tokenIn(service?.path ?? "");
  if (service === undefined || wanted === undefined) return {};
  return { service: { name: service.name, namespace: service.namespace, path: pathWith(wanted, service.path) } };
};
