import type { CheckText } from "./text.ts";

/** The webhook's repair mends it. */
const AGAIN = "in mode enforce the webhook makes it again within a minute; where it does not, its log says why";
const WRITE_SECRET =
  "kubectl create secret generic NAME --namespace NAMESPACE --from-file=KEY --dry-run=client -o yaml | kubectl apply -f -";

/** Findings about a gateway. */
export const gatewayCodes = {
  "namespace-missing": {
    level: "error",
    says: "the gateway's namespace does not exist",
    fix: "create it with the label pod-security.kubernetes.io/enforce=privileged, or set gatewayNamespaces.create",
    run: "kubectl create namespace NAMESPACE && kubectl label namespace NAMESPACE pod-security.kubernetes.io/enforce=privileged",
  },
  "pod-security": {
    level: "error",
    says: "Pod Security refuses the gateway's pod, which needs NET_ADMIN",
    fix: "let the namespace have the level privileged, or give the gateway a namespace of its own",
    run: "kubectl label namespace NAMESPACE pod-security.kubernetes.io/enforce=privileged --overwrite",
  },
  "secret-missing": {
    level: "error",
    says: "the tunnel's Secret does not exist, so the tunnel is down",
    fix: "create it in the gateway's namespace, with the WireGuard config from a file of the key's name",
    run: WRITE_SECRET,
  },
  "secret-key-missing": {
    level: "error",
    says: "the tunnel's Secret lacks the key under which the WireGuard config is read",
    fix: "put the WireGuard config under that key, from a file of its name, or set the tunnel's secretKey",
    run: WRITE_SECRET,
  },
  "secret-unread": {
    level: "error",
    says: "the tunnel's Secret holds no PrivateKey under its key, so the tunnel is down",
    fix: "put the WireGuard config there as the VPN server exports it, from a file of the key's name",
    run: WRITE_SECRET,
  },
  "table-lost": {
    level: "error",
    says: "the gateway's forward table is gone, and pods rely on its ports",
    fix: "in mode enforce the webhook makes it again of the Services within a minute; else restore it (docs/runbooks.md)",
    run: "WEBHOOK_LOGS",
  },
  "policy-lost": {
    level: "error",
    says: "the gateway's NetworkPolicy is gone: any pod of the cluster may connect through it",
    fix: AGAIN,
    run: "WEBHOOK_LOGS",
  },
  "forwards-full": {
    level: "error",
    says: "the gateway's forward table is full: the next new target is refused",
    fix: "raise maxForwards, or use another gateway",
    run: "EDIT_CONFIG",
  },
  "forwards-nearly-full": {
    level: "warning",
    says: "the gateway's forward table is at 80 % or more of maxForwards",
    fix: "raise maxForwards, or use another gateway",
    run: "EDIT_CONFIG",
  },
  "gateway-missing": {
    level: "error",
    says: "the gateway's Deployment is gone, and its table has forwards",
    fix: AGAIN,
    run: "WEBHOOK_LOGS",
  },
  "gateway-down": {
    level: "error",
    says: "the gateway's pod is not ready: nothing reaches the targets",
    fix: "see what its pod says, and `kubectl describe pod` of it",
    run: "kubectl logs deployment/NAME --namespace NAMESPACE --all-containers --tail=50",
  },
  "pod-unscheduled": {
    level: "error",
    says: "the scheduler finds no node for the pod",
    fix: "correct its nodeSelector, affinity, tolerations or resources (a gateway's stand in the config), or make room on a node",
    run: "EDIT_CONFIG",
  },
  "image-unpulled": {
    level: "error",
    says: "the node cannot get the container's image",
    fix: "correct the image's name and tag (a gateway's stands in the config, the webhook's in the chart's values), or let the node reach the registry",
    run: "EDIT_CONFIG",
  },
  "wireguard-missing": {
    level: "error",
    says: "the gateway's pod can make no WireGuard interface on its node",
    fix: "keep it on nodes with WireGuard (nodeSelector), or set userspace: true with an image that has wireguard-go",
    run: "EDIT_CONFIG",
  },
  "device-missing": {
    level: "error",
    says: "the node has no /dev/net/tun, which userspace: true needs",
    fix: "load the module tun on the node, or keep the gateway from it with nodeSelector",
    run: "EDIT_CONFIG",
  },
  "sibling-down": {
    level: "warning",
    says: "a pod of the gateway is not ready, and another one serves: the gateway has no pod in reserve",
    fix: "see what that pod says: its Secret, its VPN server, its node",
    run: "kubectl logs deployment/NAME --namespace NAMESPACE --all-containers --tail=50",
  },
  "gateway-orphan": {
    level: "warning",
    says: "the config does not know this gateway: no new pod gets it, and nothing keeps it in order",
    fix: "add it to the config, or remove it when no pod uses it: a dry run says which do",
    run: "flowgen-gateway remove NAMESPACE/NAME --config webhook-config.yaml --dry-run",
  },
  "service-lost": {
    level: "error",
    says: "a Service of the gateway's table does not exist: pods that use it cannot resolve it",
    fix: AGAIN,
    run: "WEBHOOK_LOGS",
  },
  "service-port-lost": {
    level: "error",
    says: "the Service does not offer the port that the table gives to the target",
    fix: AGAIN,
    run: "WEBHOOK_LOGS",
  },
  "service-without-pod": {
    level: "error",
    says: "the Service has no ready pod",
    fix: "see the gateway's pod; a NetworkPolicy or a changed selector may keep it away",
  },
  "network-policy": {
    level: "error",
    says: "the gateway's NetworkPolicy does not admit this pod to the target",
    fix: "delete the pod, so that the webhook labels the next one; the namespace must be in the tunnel's namespaces",
    run: "kubectl delete pod NAME --namespace NAMESPACE",
  },
  "tunnel-unconfigured": {
    level: "error",
    says: "the tunnel has no interface: its Secret holds nothing that WireGuard takes, or the interface was refused",
    fix: "see the line `not up` in the log of the gateway's container wireguard: it names what it cannot read",
    run: "kubectl logs deployment/NAME --namespace NAMESPACE --container wireguard --tail=50",
  },
  "endpoint-unresolved": {
    level: "error",
    says: "the name of the VPN server's endpoint has no address",
    fix: "correct Endpoint in the Secret, or the DNS that the gateway's node uses",
  },
  "tunnel-unanswered": {
    level: "error",
    says: "the VPN server has not answered since the gateway's pod started",
    fix: "add the Secret's public key to the VPN server's peers (or correct the key in the Secret), and let UDP reach the endpoint",
  },
  "tunnel-silent": {
    level: "error",
    says: "the VPN server answered before, and does not any more",
    fix: "start the VPN server, let UDP reach it, and see whether it still has this tunnel's public key as a peer",
  },
  "forward-refuses": {
    level: "error",
    says: "the gateway takes no connection for the target: its tunnel is not up",
    fix: "restart a pod that uses the target, where the config moved it to another tunnel; else see the tunnel's finding",
  },
  "target-outside-tunnel": {
    level: "error",
    says: "the gateway takes no connection for the target: its address is outside the tunnel's AllowedIPs, or never a private server's",
    fix: "add the target's address to AllowedIPs in the tunnel's Secret, and on the VPN server",
  },
  "target-unresolved": {
    level: "error",
    says: "the gateway takes no connection for the target: its name has no address",
    fix: "correct the name in the annotation, or set DNS in the tunnel's Secret to a server that knows it",
  },
  "listener-down": {
    level: "error",
    says: "the gateway takes no connection for the target: its listener cannot start",
    fix: "see socat's line in the log of the gateway's container port-forward",
    run: "kubectl logs deployment/NAME --namespace NAMESPACE --container port-forward --tail=50",
  },
  "target-refuses": {
    level: "error",
    says: "the tunnel is up, and the target refuses connections",
    fix: "start the server, or correct the target's port in the annotation",
  },
  "target-silent": {
    level: "error",
    says: "the tunnel is up, and the target does not answer",
    fix: "see whether the server runs, and whether the private network's firewall and routes let the VPN's clients reach it",
  },
  "target-unreachable": {
    level: "error",
    says: "the tunnel is up, and the network behind it says that the target cannot be reached",
    fix: "correct the target's address in the annotation, or the VPN server's route to it",
  },
} as const satisfies Record<string, CheckText>;
