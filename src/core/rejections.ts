/** The rejections of `reasons` (reasons.ts): denied with the HTTP status `code`. */
export const rejections = {
  "annotation-invalid": {
    outcome: "reject",
    code: 422,
    says: "an annotation cannot be read",
    fix: "correct the entry that the message names",
  },
  reserved: {
    outcome: "reject",
    code: 403,
    says: "the pod carries flowgen.io/gateway-status or a target.flowgen.io label, which only the webhook may write",
    fix: "remove them from the pod template, or annotate the targets",
  },
  "gateway-unknown": {
    outcome: "reject",
    code: 422,
    says: "the config knows no such gateway",
    fix: "use a gateway of the config, or ask the admin to add this one",
  },
  "tunnel-unknown": {
    outcome: "reject",
    code: 422,
    says: "the gateway has no such tunnel",
    fix: "use a tunnel of the gateway, or ask the admin to add this one",
  },
  "tunnel-ambiguous": {
    outcome: "reject",
    code: 422,
    says: "several tunnels may carry the target",
    fix: "name one with the entry's tunnel key or the flowgen.io/tunnel annotation",
  },
  "tunnel-namespace": {
    outcome: "reject",
    code: 403,
    says: "the pod's namespace may not reach the target through the tunnel",
    fix: "ask the admin to add the namespace to the tunnel's namespaces, or to one of its rules",
  },
  "target-not-allowed": {
    outcome: "reject",
    code: 403,
    says: "the target is outside the allowedTargets of every tunnel that the pod may use",
    fix: "correct the target, or ask the admin to add it to allowedTargets",
  },
  "target-forbidden": {
    outcome: "reject",
    code: 403,
    says: "the target is not a private server: the address is loopback, link-local, multicast, unspecified or the cluster's own",
    fix: "use the server's own address on the private network",
  },
  "alias-not-allowed": {
    outcome: "reject",
    code: 403,
    says: "the tunnel's allowedAliases do not grant the name",
    fix: "correct the alias, or ask the admin to add it to the tunnel's allowedAliases",
  },
  "alias-conflict": {
    outcome: "reject",
    code: 422,
    says: "one name of the pod cannot stand for two servers",
    fix: "remove one of the two, or give the target `redirect: env`",
  },
  "host-twice": {
    outcome: "reject",
    code: 422,
    says: "two tunnels have a server of this address, and an env does not show which of the two is meant",
    fix: "name a hostEnv of its own for all targets of the address but one, or give them aliases",
  },
  "hosts-file-mounted": {
    outcome: "reject",
    code: 422,
    says: "a container mounts its own /etc/hosts, so hostAliases have no effect in it",
    fix: "remove the mount, or give the target `redirect: env`",
  },
  "address-gone": {
    outcome: "reject",
    code: 409,
    says: "the pod comes from an earlier admission, and the gateway no longer offers its targets at the addresses of that time",
    fix: "apply the original manifest, without flowgen.io/gateway-status and with the servers' real hosts",
  },
  "address-unknown": {
    outcome: "reject",
    code: 409,
    says: "hostAliases hold the cluster IP of the host's Service, and the cluster has not given it one yet (`inject` alone ends so)",
    fix: "read the addresses with --cluster kubeconfig; make Services that are not there yet with the objects that `inject --gateway` prints; or leave the pod to the webhook",
  },
  "srv-url": {
    outcome: "reject",
    code: 422,
    says: "a mongodb+srv URL finds its servers by DNS SRV records, so changing its host cannot redirect it",
    fix: "use a mongodb:// URL with the host and port of each member",
  },
  "work-too-much": {
    outcome: "reject",
    code: 413,
    says: "the pod's env, arguments and targets together would cost more work, or a larger patch, than one admission may",
    fix: "annotate fewer targets and named env, or move large env into ConfigMaps",
  },
  "no-service-left": {
    outcome: "reject",
    code: 403,
    says: "the target's port is another target's at the gateway's Service, or a name must resolve to the host, and no further Service may be made",
    fix: "raise maxServices (docs/scale.md says what it costs), or use another gateway",
  },
  "gateway-full": {
    outcome: "reject",
    code: 403,
    says: "the gateway has no forward or port left",
    fix: "raise maxForwards, remove unused targets, or use another gateway",
  },
  "namespace-full": {
    outcome: "reject",
    code: 403,
    says: "the pod's namespace has its share of the gateway's forwards",
    fix: "raise maxForwardsPerNamespace, use targets that the gateway has, or use another gateway",
  },
  "object-unmanaged": {
    outcome: "reject",
    code: 409,
    says: "an object with the gateway's name exists and is not managed by flowgen-gateway-webhook",
    fix: "take over a gateway of the flowgen chart with `flowgen-gateway adopt` (as a user with the verb break-glass); else rename the gateway in the config, or delete the object",
  },
  "selector-other": {
    outcome: "reject",
    code: 409,
    says: "the gateway's Deployment selects other pods than the gateway's, which cannot be changed",
    fix: "take it over with `flowgen-gateway adopt`, which replaces the Deployment (as a user with the verb break-glass), or rename the gateway in the config",
  },
  "identity-held": {
    outcome: "reject",
    code: 409,
    says: "another Deployment holds the WireGuard identity of the gateway's tunnel, and the server answers the one that spoke last",
    fix: "where it is the flowgen chart's gateway, give the config's gateway its name and take it over with `flowgen-gateway adopt`; else scale it to 0 (a gateway's as a user with the verb break-glass), or give the tunnel another Secret",
  },
  "table-invalid": {
    outcome: "reject",
    code: 409,
    says: "the gateway's forward table cannot be read, and is never overwritten blindly",
    fix: "restore the ConfigMap's table.json, or delete the gateway's Services and ConfigMap to start with an empty table, and restart the pods that use it; either as a user with the verb break-glass",
  },
} as const satisfies Record<string, RejectionText>;

export type RejectionText = {
  readonly outcome: "reject";
  readonly code: number;
  readonly says: string;
  readonly fix: string;
};
