import { setTimeout as sleep } from "node:timers/promises";
import { type CertificateStore, clusterStore, readBundles } from "../../certificates/store.ts";
import { createKeeper, type Look } from "../../certificates/keeper.ts";
import { type Cluster, ClusterError, type KubeObject } from "../../cluster/cluster.ts";
import { certificateFailures, stepText } from "../../certificates/reasons.ts";
import type { CertificatePolicy } from "../../certificates/judgement.ts";
import type { CertificateStep } from "../../certificates/step.ts";
import { expiryOf, readCertificate } from "../../certificates/x509.ts";
import { BUNDLE_FILE, diskFolder, folderStore, memoryFolder } from "./folder.ts";
import type { Output } from "../options/output.ts";
import { lazyIssuer } from "./issuer.ts";
import { type ClusterName, connectCluster, UsageError } from "../options/options.ts";
import { certificatePolicy, type CertificateOptions, namespaceOf } from "../serve/tls-options.ts";

export type CertsOptions = Omit<CertificateOptions, "webhookConfiguration"> & {
  readonly cluster: ClusterName;
  /** To the cluster. */
  readonly tlsSecret?: string;
  /** To files. */
  readonly out?: string;
  readonly webhookConfiguration?: string;
  readonly rotate: boolean;
  /** Clients trust what is in the folder's bundle by now. */
  readonly trusted: boolean;
  readonly dryRun: boolean;
};

const LOOK_MS = 30_000;

/**
 * `certs`: the steps of `serve --tls-secret`, once and by hand, for a Secret or for files. Missing or due certificates
 * are made. A CA that is asked for or due is rotated in two phases. `caBundle` is written. Returns the exit code: 1
 * when a step failed.
 */
export const certs = async (options: CertsOptions, output: Output): Promise<0 | 1> => {
  if (options.out !== undefined && options.namespace === undefined && options.tlsNames === undefined)
    throw new UsageError("--out: name the webhook's namespace with -n, or the certificate's names with --tls-names");
  const namespace = options.out === undefined ? await namespaceOf(options) : (options.namespace ?? "default");
  const policy = certificatePolicy(options, namespace);
  try {
    return await keep(await storeOf(options, namespace), policy, options, output);
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    output.err(`${error.message}\n`);
    return 1;
  }
};

const keep = async (
  store: CertificateStore,
  policy: CertificatePolicy,
  options: CertsOptions,
  { out, err }: Output,
): Promise<0 | 1> => {
  let steps = 0;
  const onStep = (step: CertificateStep): void => {
    steps += 1;
    out(`${options.dryRun ? "would do: " : ""}${stepText(step)}\n`);
  };
  const keeper = createKeeper({ store, issuer: lazyIssuer, policy, onStep });
  // A dry run writes to a copy: no replica has to load the certificate before the next step.
  const isSettled = options.dryRun || options.trusted;
  const look = (isAsked: boolean) => keeper.look(AbortSignal.timeout(LOOK_MS), { isAsked, isSettled });

  let result = await look(options.rotate);
  for (let ms = waitMs(result, options); ms !== undefined; ms = waitMs(result, options)) {
    out(`waiting ${Math.ceil(ms / 1000)} s (safe to stop: it goes on where it was)\n`);
    await sleep(ms);
    result = await look(false);
  }
  if (options.dryRun && steps === 0 && result.kind === "kept") out("would do nothing: all is in order\n");
  return tell(result, { store, options, out, err });
};

/**
 * Milliseconds until the next step; `undefined`: no step, or none of this command's. Without a webhook configuration an
 * admin writes the bundle, after an unknown time.
 */
const waitMs = (result: Look, { out, webhookConfiguration, dryRun }: CertsOptions): number | undefined =>
  dryRun || result.kind !== "kept" || (out !== undefined && webhookConfiguration === undefined)
    ? undefined
    : result.rest.forMs;

type Telling = Output & { readonly store: CertificateStore; readonly options: CertsOptions };

const tell = (result: Look, { store, options, out, err }: Telling): 0 | 1 => {
  if (result.kind === "refused") {
    err(`${store.name}: ${certificateFailures[result.failure]}\n`);
    return 1;
  }
  const [leaf, ca] = [result.certificates.leaf, result.certificates.ca].map(({ cert }) => readCertificate(cert));
  const until = (end: number | undefined): string => new Date(end ?? 0).toISOString().slice(0, 10);
  if (!options.dryRun)
    out(`${store.name}: certificate until ${until(leaf && expiryOf(leaf))}, CA until ${until(ca && expiryOf(ca))}\n`);
  if (options.out !== undefined && options.webhookConfiguration === undefined && !options.dryRun)
    out(`${todo(result, `${options.out}/${BUNDLE_FILE}`)}\n`);
  if (result.failure === undefined) return 0;
  err(`${options.webhookConfiguration ?? DEFAULT_CONFIGURATION}: ${certificateFailures[result.failure]}\n`);
  return 1;
};

const todo = ({ certificates, rest }: Extract<Look, { kind: "kept" }>, bundle: string): string => {
  const first = `put ${bundle}, base64, into the webhook's caBundle`;
  if (certificates.next !== undefined)
    return `${first}; when it is there, run this again with --trusted, and the next CA signs`;
  return rest.isUnderWay
    ? `serve the new certificate; then run this again, for the former CA to leave ${bundle}`
    : first;
};

const DEFAULT_CONFIGURATION = "flowgen-gateway-webhook";

const storeOf = async (options: CertsOptions, namespace: string): Promise<CertificateStore> => {
  const { tlsSecret, out, webhookConfiguration, rotate, trusted, dryRun } = options;
  if ((tlsSecret === undefined) === (out === undefined))
    throw new UsageError("give one of --tls-secret (to the cluster) or --out (to files)");
  if (trusted && (out === undefined || webhookConfiguration !== undefined))
    throw new UsageError("--trusted goes with --out alone: in a cluster it is seen what caBundle holds");
  if (trusted && rotate) throw new UsageError("--rotate and --trusted are two runs: caBundle is filled between them");
  const configuration = webhookConfiguration ?? DEFAULT_CONFIGURATION;
  if (tlsSecret !== undefined) {
    const real = await connectCluster(options.cluster);
    const cluster = dryRun ? await copiedStore(real, namespace, tlsSecret, configuration) : real;
    return clusterStore(cluster, { namespace, name: tlsSecret }, configuration);
  }
  const path = out ?? "";
  const disk = diskFolder(path);
  const folder = dryRun ? memoryFolder(await disk.read()) : disk;
  if (webhookConfiguration === undefined) return folderStore(path, folder);
  const real = await connectCluster(options.cluster);
  const cluster = dryRun ? await copiedStore(real, namespace, undefined, configuration) : real;
  return folderStore(path, folder, (signal) => readBundles(cluster, configuration, signal));
};

/** A cluster in memory with these objects: a dry run is the real thing on a copy. */
const copiedStore = async (
  real: Cluster,
  namespace: string,
  secret: string | undefined,
  configuration: string,
): Promise<Cluster> => {
  const { createMemoryCluster } = await import("../../emulator/memory.ts");
  const signal = AbortSignal.timeout(LOOK_MS);
  const copy = createMemoryCluster();
  const objects = await Promise.all([
    secret === undefined ? undefined : real.get({ kind: "Secret", namespace, name: secret }, signal),
    real.get({ kind: "MutatingWebhookConfiguration", namespace: "", name: configuration }, signal),
  ]);
  for (const object of objects) if (object !== undefined) await copy.create(withoutIdentity(object), signal);
  return copy;
};

const withoutIdentity = ({ metadata, ...rest }: KubeObject): KubeObject => {
  const { name = "", namespace, labels = {} } = metadata;
  return { ...rest, metadata: { name, namespace, labels } };
};
