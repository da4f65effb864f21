// The configuration files of a node's programs.
import { PAUSE } from "./image-list.ts";

export type NodeSite = {
  readonly name: string;
  /** On the LAN. */
  readonly address: string;
  /** The range of its pods' addresses. */
  readonly pods: string;
  /** Under which all its pods are. */
  readonly cgroup: string;
};

/** The node that namespaces.sh makes room for. */
export const FIRST: NodeSite = {
  name: "node",
  address: "172.30.0.2",
  pods: "10.244.0.0/24",
  cgroup: "/flowgen-node-test",
};
const CLUSTER_DNS = "10.96.0.10";
const POD_RANGE = "10.244.0.0/16";

export type Paths = {
  readonly authority: string;
  readonly coreDns: string;
  readonly kubeProxy: string;
  readonly resolvConf: string;
};

/** containerd 1.6 with runc and the CNI plugins of Debian. */
export const containerd = (): string => `
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE}"
  restrict_oom_score_adj = true # without CAP_SYS_RESOURCE a sandbox cannot lower its own
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`;

/** Pods on one bridge. */
export const network = ({ pods }: NodeSite): string =>
  JSON.stringify({
    cniVersion: "1.0.0",
    name: "node",
    plugins: [
      {
        type: "bridge",
        bridge: "cni0",
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: { type: "host-local", ranges: [[{ subnet: pods }]], routes: [{ dst: "0.0.0.0/0" }] },
      },
    ],
  });

/** The kubelet's own defaults, but for what the machine needs: periods and delays are what they are in any cluster. */
export const kubelet = (
  { authority, resolvConf }: Pick<Paths, "authority" | "resolvConf">,
  { cgroup }: NodeSite,
): string =>
  JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    failCgroupV1: false,
    cgroupDriver: "cgroupfs",
    cgroupRoot: cgroup,
    failSwapOn: false,
    containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
    clusterDomain: "cluster.local",
    clusterDNS: [CLUSTER_DNS],
    resolvConf,
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: authority } },
    authorization: { mode: "Webhook" },
    // The machine's disk is not the node's: nothing is evicted or collected because of it.
    imageGCHighThresholdPercent: 100,
    evictionHard: {
      "nodefs.available": "0%",
      "imagefs.available": "0%",
      "nodefs.inodesFree": "0%",
      "memory.available": "0%",
    },
  });

/** Connection tracking is set for the whole machine, so it is left alone. */
export const kubeProxy = ({ kubeProxy }: Pick<Paths, "kubeProxy">, { name }: NodeSite): string =>
  JSON.stringify({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "iptables",
    clusterCIDR: POD_RANGE,
    clientConnection: { kubeconfig: kubeProxy },
    hostnameOverride: name,
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
  });

/** Cluster names, the VPN server's public name, and nothing else: there is no other DNS server to ask. */
export const corefile = ({ coreDns }: Paths, hosts: Readonly<Record<string, string>>): string => `
cluster.local:53 {
  bind ${FIRST.address}
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local {
    kubeconfig ${coreDns} test-cluster
  }
}
example.com:53 {
  bind ${FIRST.address}
  hosts {
${Object.entries(hosts)
  .map(([name, address]) => `    ${address} ${name}`)
  .join("\n")}
  }
}
.:53 {
  bind ${FIRST.address}
  template ANY ANY . {
    rcode NXDOMAIN
  }
}
`;

/** The Service by which pods know CoreDNS, which runs on the node itself. */
export const dnsService = (): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: [
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "kube-dns", namespace: "kube-system" },
        spec: { clusterIP: CLUSTER_DNS, ports: DNS_PORTS },
      },
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: {
          name: "kube-dns-node",
          namespace: "kube-system",
          labels: { "kubernetes.io/service-name": "kube-dns" },
        },
        addressType: "IPv4",
        endpoints: [{ addresses: [FIRST.address], conditions: { ready: true } }],
        ports: DNS_PORTS,
      },
    ],
  });

const DNS_PORTS = [
  { name: "dns", port: 53, protocol: "UDP" },
  { name: "dns-tcp", port: 53, protocol: "TCP" },
];
