import type { CheckText } from "./text.ts";

/** Findings about the config, the cluster, and the way from the API server to the webhook. */
export const installationCodes = {
  // the config
  "config-missing": {
    level: "unseen",
    says: "the webhook's config was not found",
    fix: "name the file with --config, or the installation's namespace with --install-namespace",
    run: "kubectl get configmaps --namespace NAMESPACE",
  },
  "config-invalid": {
    level: "error",
    says: "the config cannot be used: a pod of the webhook that reads it ends with exit code 2",
    fix: "correct the key that the finding names; docs/reference.md lists all keys",
    run: "EDIT_CONFIG",
  },
  "tunnel-allows-nothing": {
    level: "warning",
    says: "the tunnel has neither allowedTargets nor portForwards: every target is refused",
    fix: "list the servers of this tunnel in allowedTargets",
    run: "EDIT_CONFIG",
  },
  "tunnel-allows-all": {
    level: "warning",
    says: "allowedTargets allows every address of a family, and with it every server that the VPN can reach",
    fix: "list the private networks that pods need",
    run: "EDIT_CONFIG",
  },
  "identity-twice": {
    level: "error",
    says: "two gateways hold one WireGuard identity: the server answers the one that spoke last, and both lose connections",
    fix: "give each tunnel a key of its own, or serve both from one gateway",
    run: "EDIT_CONFIG",
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
    fix: "upgrade that installation, or install under another name",
    run: "APPLY_CHART",
  },
  "kernel-old": {
    level: "warning",
    says: "the node's kernel may have no WireGuard (Linux has it since 5.6), and userspace WireGuard needs /dev/net/tun there",
    fix: "keep the gateway from this node with nodeSelector, or set userspace: true",
    run: "EDIT_CONFIG",
  },

  // how the API server reaches the webhook
  "registration-missing": {
    level: "error",
    says: "there is no MutatingWebhookConfiguration: annotated pods start unredirected",
    fix: "install the chart, or name the installation with --install-name",
    run: "APPLY_CHART",
  },
  "ca-bundle-missing": {
    level: "error",
    says: "caBundle is empty, so the API server trusts no certificate of the webhook",
    fix: "the webhook fills it in at its start, and its log says why it could not; from elsewhere `flowgen-gateway certs` does",
    run: "RESTART_WEBHOOK",
  },
  "service-not-found": {
    level: "error",
    says: "the Service that the registration names does not exist",
    fix: "let the chart make it again, or correct clientConfig.service",
    run: "APPLY_CHART",
  },
  "no-endpoints": {
    level: "error",
    says: "no pod of the webhook is ready",
    fix: "see what its pods say, and `kubectl describe pods` of them",
    run: "WEBHOOK_LOGS",
  },
  "certificate-untrusted": {
    level: "error",
    says: "the webhook's certificate was not signed by the CA in caBundle",
    fix: "restart the webhook's pods, which put their CA into caBundle; from elsewhere `flowgen-gateway certs` does",
    run: "RESTART_WEBHOOK",
  },
  "certificate-name": {
    level: "error",
    says: "the webhook's certificate is not for the name by which the API server calls it",
    fix: "give --tls-names the name of clientConfig (<service>.<namespace>.svc) and restart the webhook's pods",
    run: "APPLY_CHART",
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
    run: "WEBHOOK_LOGS",
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
  "path-unknown": {
    level: "error",
    says: "the webhook was reached, and answers nothing at the path of the registration",
    fix: "set clientConfig's path to /mutate (with a path token to /mutate/TOKEN), or let the chart write it again",
    run: "APPLY_CHART",
  },
  "answer-unusable": {
    level: "error",
    says: "something was reached at the webhook's address, and its answer cannot be used",
    fix: "see the webhook's log; where it has nothing of it, another program answers: correct clientConfig",
    run: "WEBHOOK_LOGS",
  },
  "not-asked": {
    level: "error",
    says: "an annotated pod passed and the webhook was not asked, or its answer was not waited for",
    fix: "let the chart write the registration again; the cause names what differs in it, where that can be seen",
    run: "APPLY_CHART",
  },
  "policy-missing": {
    level: "warning",
    says: "a ValidatingAdmissionPolicy of the chart is not in force",
    fix: "set policies.*.enabled to true where it is false, and apply the chart again",
    run: "APPLY_CHART",
  },
  "reinvocation-never": {
    level: "warning",
    says: "another webhook changes pods after this one, which is not asked again: an env that is added later stays as it is",
    fix: "set reinvocationPolicy to IfNeeded, as the chart does",
    run: "APPLY_CHART",
  },
  "fails-open": {
    level: "warning",
    says: "failurePolicy is Ignore in enforce mode: pods start unredirected while no webhook answers",
    fix: "set webhook.failurePolicy to Fail, or keep policies.unredirected",
    run: "FAIL_CLOSED",
  },
  "version-differs": {
    level: "warning",
    says: "the webhook is of another version than this program",
    fix: "use the program of the installed version, or finish the upgrade",
  },
  "right-of-webhook": {
    level: "error",
    says: "the webhook's ServiceAccount may not do what a gateway needs",
    fix: "apply the chart again (rbac.create, rbac.namespaces), or bind its Roles yourself",
    run: "APPLY_CHART",
  },
} as const satisfies Record<string, CheckText>;
