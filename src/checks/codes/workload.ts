import type { CheckText } from "./text.ts";

/** Findings about a workload that uses a gateway. */
export const workloadCodes = {
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
    fix: "see why its controller makes none: the reason is in the Events",
    run: "kubectl get events --namespace NAMESPACE --field-selector reason=FailedCreate",
  },
  "audit-mode": {
    level: "warning",
    says: "mode is audit: pods are let through unchanged",
    fix: "set mode: enforce in the config, or remove flowgen.io/mode from the pod template",
    run: "SET_ENFORCE",
  },
  "pod-not-redirected": {
    level: "error",
    says: "the pod was made without the webhook, before it was installed or while no webhook answered",
    fix: "delete the pod, or restart its workload: the next pod is redirected",
    run: "kubectl delete pod NAME --namespace NAMESPACE",
  },
  "pod-outdated": {
    level: "error",
    says: "the pod holds an address that the gateway no longer gives to this target",
    fix: "delete the pod, or restart its workload: the next pod gets the address",
    run: "kubectl delete pod NAME --namespace NAMESPACE",
  },
  "pod-warning": {
    level: "warning",
    says: "the webhook warns of this at each pod",
    fix: "see docs/warnings.md: it says of each warning what to do",
  },
  "near-miss": {
    level: "warning",
    says: "a key or a value looks like one that the webhook reads, and is not",
    fix: "correct it as the finding says",
  },
} as const satisfies Record<string, CheckText>;
