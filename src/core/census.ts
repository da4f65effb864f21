/** The forwards and Services that live pods use, read from their metadata alone, one pod after another. */
import type { Config, PlacedGateway } from "./config/config.ts";
import { type Forward, type HostService, serviceOf, type Table } from "./forwards/table.ts";
import { annotation, dnsName, GATEWAY_LABEL, TARGET_LABEL_PREFIX } from "./names.ts";
import { planPod } from "./plan.ts";
import { readStatus } from "./status.ts";
import { address } from "./target.ts";

export type PodMetadata = {
  readonly name?: string;
  readonly namespace: string;
  readonly uid?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
};

type Led = { readonly pod: PodMetadata; readonly ips: readonly string[] };

export type Census = {
  /** A pod that has not ended; the same pod may come twice. */
  readonly add: (pod: PodMetadata) => void;
  /** Whether a pod's labels admit it to the forward, or its status names one of the forward's addresses. */
  readonly uses: (gateway: PlacedGateway, table: Table, forward: Forward) => boolean;
  /** Whether a pod's status names an address of the host's Service. */
  readonly names: (gateway: PlacedGateway, service: HostService) => boolean;
  /**
   * Pods whose hostAliases hold a cluster IP that the host's Service does not have: it was lost to another Service, or
   * never was this one's.
   */
  readonly stranded: (gateway: PlacedGateway, service: HostService) => readonly PodMetadata[];
  /**
   * Pods that would be redirected if they were made now, and have no status: they connect to their targets directly.
   */
  readonly unredirected: () => readonly PodMetadata[];
  /** Pods whose status a newer version wrote: what they hold is not known. */
  readonly unread: () => readonly PodMetadata[];
};

/** An empty census. */
export const createCensus = (config: Config): Census => {
  /** `<namespace of the pod>/<gateway> <forward>`, and the same for any namespace. */
  const labels = new Set<string>();
  const addresses = new Set<string>();
  const hosts = new Set<string>();
  /** By a Service's DNS name: the pods, with the cluster IPs that their hostAliases have. */
  const led = new Map<string, Map<string, Led>>();
  const unredirected = new Map<string, PodMetadata>();
  const unread = new Map<string, PodMetadata>();
  return {
    add: (pod) => {
      const { namespace, name, labels: own = {}, annotations = {} } = pod;
      const key = `${namespace}/${name ?? ""}`;
      const metadata = { labels: own, annotations };
      for (const label of Object.keys(own)) {
        if (!label.startsWith(TARGET_LABEL_PREFIX)) continue;
        const held = `${own[GATEWAY_LABEL] ?? ""} ${label.slice(TARGET_LABEL_PREFIX.length)}`;
        labels.add(`${namespace}/${held}`).add(`*/${held}`);
      }
      const status = readStatus({ metadata });
      if (status.kind === "fail") unread.set(key, pod);
      else
        for (const { address: at, ips } of status.targets) {
          const host = at.replace(/:\d+$/, "");
          addresses.add(at);
          hosts.add(host);
          if (ips !== undefined)
            led.set(host, (led.get(host) ?? new Map<string, Led>()).set(key, { pod: namedOnly(pod), ips }));
        }
      if (!(annotation.targets in annotations) || annotation.status in annotations) return;
      const plan = planPod({ metadata, spec: { containers: [] } }, namespace, config);
      if ((plan.kind === "plan" || plan.kind === "reject") && plan.mode === "enforce") unredirected.set(key, pod);
    },
    uses: (gateway, table, forward) =>
      labels.has(`${gateway.isPerNamespace ? gateway.namespace : "*"}/${gateway.name} ${forward.name}`) ||
      addressesOf(gateway, table, forward).some((at) => addresses.has(at)),
    names: ({ namespace }, { name }) => hosts.has(dnsName({ name, namespace })),
    stranded: ({ namespace }, { name, clusterIPs }) =>
      clusterIPs.length === 0
        ? []
        : [...(led.get(dnsName({ name, namespace }))?.values() ?? [])]
            .filter(({ ips }) => ips.some((ip) => !clusterIPs.includes(ip)))
            .map(({ pod }) => pod),
    unredirected: () => [...unredirected.values()],
    unread: () => [...unread.values()],
  };
};

/** Kept for each pod until the run ends: no more than an Event about the pod needs. */
const namedOnly = ({ labels: _labels, annotations: _annotations, ...rest }: PodMetadata): PodMetadata => rest;

const addressesOf = (gateway: PlacedGateway, table: Table, forward: Forward): readonly string[] => {
  const service = serviceOf(table, forward.tunnel, forward.targetHost);
  const { namespace } = gateway;
  return [
    ...(forward.servicePort === undefined ? [] : [address(dnsName(gateway), forward.servicePort)]),
    ...(service === undefined ? [] : [address(dnsName({ name: service.name, namespace }), forward.targetPort)]),
  ];
};
