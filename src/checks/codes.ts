/**
 * What `check` finds: one code, one sentence, one fix. `check`, `explain` and docs/findings.md read this table; a finding adds the
 * object and what it is like. Codes of refusals (src/core/reasons.ts) are findings too, and stand there.
 */
export const checkCodes = {
  // the config
  "config-missing": {
    level: "unseen",
    says: "the webhook's config was not found",
    fix: "name the file with --config, or the installation's namespace with --install-namespace",
  },
  "config-invalid": {
    level: "error",
    says: "the config cannot be used: a pod of the webhook that reads it ends with exit code 2",
    fix: "correct the key that the finding names; docs/reference.md lists all keys",
  },
  "tunnel-allows-nothing": {
    level: "warning",
    says: "the tunnel has neither allowedTargets nor portForwards: every target is refused",
    fix: "list the servers of this tunnel in allowedTargets",
  },
  "tunnel-allows-all": {
    level: "warning",
    says: "allowedTargets allows every address of a family, and with it whatever the VPN can reach",
    fix: "list the private networks that pods need",
  },
  "identity-twice": {
    level: "error",
    says: "two gateways hold one WireGuard identity: the server answers the one that spoke last, and both lose connections",
    fix: "give each tunnel a key of its own, or serve both from one gateway",
  },

  // the cluster
  "kubernetes-old": {
    level: "error",
    says: "matchConditions and ValidatingAdmissionPolicies need Kubernetes 1.30 or newer",
    fix: "upgrade the cluster",
  },
  "right-to-install": {
    level: "error",
    says: "you may not do what an installation needs",
    fix: "install as a user who may, or ask for the right",
  },
  "installed-already": {
    level: "warning",
    says: "there is a registration of this name already",
    fix: "upgrade that installation (helm upgrade), or install under another name",
  },
  "kernel-old": {
    level: "warning",
    says: "the node's kernel may have no WireGuard (Linux has it since 5.6), and userspace WireGuard needs /dev/net/tun there",
    fix: "keep the gateway from this node with nodeSelector, or set userspace: true",
  },

  // how the API server reaches the webhook
  "registration-missing": {
    level: "error",
    says: "there is no MutatingWebhookConfiguration: annotated pods start unredirected",
    fix: "install the chart, or name the installation with --install-name",
  },
  "ca-bundle-missing": {
    level: "error",
    says: "caBundle is empty, so the API server trusts no certificate of the webhook",
    fix: "see the log of the webhook's pods; it fills caBundle itself, or run `flowgen-gateway certs`",
  },
  "service-not-found": {
    level: "error",
    says: "the Service that the registration names does not exist",
    fix: "install the chart again (helm upgrade --install), or correct clientConfig.service",
  },
  "no-endpoints": {
    level: "error",
    says: "no pod of the webhook is ready",
    fix: "see `kubectl describe pods` and the log of the webhook's pods",
  },
  "certificate-untrusted": {
    level: "error",
    says: "the webhook's certificate was not signed by the CA in caBundle",
    fix: "run `flowgen-gateway certs`, or restart the webhook's pods, which put their CA into caBundle",
  },
  "certificate-name": {
    level: "error",
    says: "the webhook's certificate is not for the name by which the API server calls it",
    fix: "give --tls-names the name of clientConfig (<service>.<namespace>.svc) and restart the webhook's pods",
  },
  "certificate-expired": {
    level: "error",
    says: "the webhook's certificate is not valid today",
    fix: "correct the clock of the node, or run `flowgen-gateway certs --rotate`",
  },
  "certificate-ends": {
    level: "warning",
    says: "the webhook's certificate ends soon and was not renewed",
    fix: "see the webhook's log and metric flowgen_gateway_certificate_failures_total",
  },
  "callers-refused": {
    level: "error",
    says: "the webhook refuses the API server's client certificate",
    fix: "correct --client-ca and --client-name, or the API server's AdmissionConfiguration (docs/operations.md)",
  },
  "not-reached": {
    level: "error",
    says: "the API server cannot reach the webhook",
    fix: "open the webhook's port from the control plane to the pods: firewall, NetworkPolicy, or hostNetwork (docs/operations.md)",
  },
  "not-asked": {
    level: "error",
    says: "an annotated pod passed and the webhook was not asked, or its answer was not waited for",
    fix: "compare the registration with the chart's: rules, namespaceSelector, matchConditions, failurePolicy",
  },
  "policy-missing": {
    level: "warning",
    says: "a ValidatingAdmissionPolicy of the chart is not in force",
    fix: "set policies.*.enabled to true, or apply the chart again",
  },
  "reinvocation-never": {
    level: "warning",
    says: "another webhook changes pods after this one, which is not asked again: an env that is added later stays as it is",
    fix: "set reinvocationPolicy to IfNeeded, as the chart does",
  },
  "fails-open": {
    level: "warning",
    says: "failurePolicy is Ignore in enforce mode: pods start unredirected while no webhook answers",
    fix: "set webhook.failurePolicy to Fail, or keep policies.unredirected",
  },
  "version-differs": {
    level: "warning",
    says: "the webhook is of another version than this program",
    fix: "use the program of the installed version, or finish the upgrade",
  },
  "right-of-webhook": {
    level: "error",
    says: "the webhook's ServiceAccount may not do what a gateway needs",
    fix: "set rbac.create to true, list the namespace in rbac.namespaces, or bind the Role yourself",
  },

  // a gateway
  "namespace-missing": {
    level: "error",
    says: "the gateway's namespace does not exist",
    fix: "create it with the label pod-security.kubernetes.io/enforce=privileged, or set gatewayNamespaces.create",
  },
  "pod-security": {
    level: "error",
    says: "Pod Security refuses the gateway's pod, which needs NET_ADMIN",
    fix: "kubectl label namespace with pod-security.kubernetes.io/enforce=privileged, or use a namespace of its own",
  },
  "secret-missing": {
    level: "error",
    says: "the tunnel's Secret does not exist, so the tunnel is down",
    fix: "create it in the gateway's namespace with the WireGuard config under the tunnel's key",
  },
  "secret-key-missing": {
    level: "error",
    says: "the tunnel's Secret lacks the key under which the WireGuard config is read",
    fix: "rename the Secret's key, or set the tunnel's secretKey",
  },
  "forwards-full": {
    level: "error",
    says: "the gateway's forward table is full: the next new target is refused",
    fix: "raise maxForwards, or use another gateway",
  },
  "forwards-nearly-full": {
    level: "warning",
    says: "the gateway's forward table is at 80 % or more of maxForwards",
    fix: "raise maxForwards, or use another gateway",
  },
  "gateway-missing": {
    level: "error",
    says: "the gateway's Deployment is gone, and its table has forwards",
    fix: "make a pod that uses the gateway (kubectl rollout restart): the webhook makes the Deployment again",
  },
  "gateway-down": {
    level: "error",
    says: "the gateway's pod is not ready: nothing reaches the targets",
    fix: "see `kubectl describe pod` and `kubectl logs` of the gateway's pod",
  },
  "gateway-orphan": {
    level: "warning",
    says: "the config does not know this gateway: no new pod gets it, and nothing keeps it in order",
    fix: "add it to the config, or remove it when no pod uses it",
  },
  "service-lost": {
    level: "error",
    says: "a Service of the gateway's table does not exist: pods that use it cannot resolve it",
    fix: "make a pod that uses it (kubectl rollout restart): the webhook makes the Service again with its address",
  },
  "service-port-lost": {
    level: "error",
    says: "the Service does not offer the port that the table gives to the target",
    fix: "delete the Service as a user with the verb break-glass: the webhook makes it again with its address",
  },
  "service-without-pod": {
    level: "error",
    says: "the Service leads to no ready pod",
    fix: "see the gateway's pod; a NetworkPolicy or a changed selector may keep it away",
  },
  "network-policy": {
    level: "error",
    says: "the gateway's NetworkPolicy does not admit this pod to the target",
    fix: "restart the pod, so that the webhook labels it; the namespace must be in the tunnel's namespaces",
  },
  "tunnel-silent": {
    level: "error",
    says: "the tunnel has had no handshake for more than three minutes",
    fix: "see the log of the gateway's container wireguard: endpoint, key, firewall (UDP), allowed IPs",
  },

  "forward-refuses": {
    level: "error",
    says: "the gateway takes no connection for the target: its tunnel is down, its name has no address, or the target is not allowed",
    fix: "see the log of the gateway's containers; docs/gateway.md says what each line means",
  },

  // a workload
  "workload-missing": {
    level: "error",
    says: "there is no such workload",
    fix: "check the name and the namespace (-n)",
  },
  "workload-unannotated": {
    level: "error",
    says: "the pod asks for no private target",
    fix: "put flowgen.io/private-targets on the pod template: spec.template.metadata.annotations",
  },
  "workload-without-pod": {
    level: "error",
    says: "the workload has no pod",
    fix: "see `kubectl describe` of the workload and of its ReplicaSet: the reason is in their Events",
  },
  "audit-mode": {
    level: "warning",
    says: "mode is audit: pods are let through unchanged",
    fix: "set mode: enforce in the config, or remove flowgen.io/mode from the pod template",
  },
  "pod-not-redirected": {
    level: "error",
    says: "the pod was made without the webhook, before it was installed or while nobody answered",
    fix: "kubectl rollout restart",
  },
  "pod-outdated": {
    level: "error",
    says: "the pod holds an address that the gateway no longer gives to this target",
    fix: "kubectl rollout restart",
  },
  "near-miss": {
    level: "warning",
    says: "a key or a value looks like one that the webhook reads, and is not",
    fix: "correct it as the finding says",
  },
} as const satisfies Record<string, CheckText>;

export type Level = "ok" | "warning" | "error" | "unseen";
type CheckText = { readonly level: Exclude<Level, "ok">; readonly says: string; readonly fix: string };
export type CheckCode = keyof typeof checkCodes;
