/** The commands of findings whose form depends on the installation: made by Helm or kubectl, in the cluster or elsewhere. */
import { type Command, commands } from "./codes/text.ts";

/** A Helm release, by its name and its namespace. */
type Release = { readonly name: string; readonly namespace: string };

/** An installation as its commands need it. */
export type InstallForm = {
  readonly name: string;
  readonly namespace: string;
  /** `release`: Helm made it. `template`: `helm template` did, as Argo CD does. Else kubectl. */
  readonly by: { readonly kind: "release"; readonly release: Release } | { readonly kind: "template" | "kubectl" };
  /** The place of its config, where that is known. */
  readonly config?: { readonly kind: "file" | "ConfigMap"; readonly name: string };
  /** The webhook has no Deployment in the cluster. */
  readonly isElsewhere: boolean;
  /** The host of the registration's URL. */
  readonly host?: string;
};

const CHART = "deploy/helm/flowgen-gateway-webhook";
const upgrade = ({ name, namespace }: Release, options = "--reset-then-reuse-values"): string =>
  `helm upgrade ${name} ${CHART} --namespace ${namespace} ${options}`;
const editor = (file: string): string => `"\${EDITOR:-vi}" ${/^[\w./-]+$/.test(file) ? file : `'${file}'`}`;

/** Each command in the form of the installation; `undefined`: it has none. */
const FORMS: Readonly<Record<Command, (installed: InstallForm) => string | undefined>> = {
  APPLY_CHART: ({ by, name, namespace }) => {
    if (by.kind === "release") return upgrade(by.release);
    const template = `helm template ${name} ${CHART} --namespace ${namespace} --values values.yaml`;
    return by.kind === "template" ? `${template} | kubectl apply -f -` : "kubectl apply -k YOUR-OVERLAY";
  },
  EDIT_CONFIG: ({ by, config, namespace }) => {
    if (config?.kind === "file") return config.name === "-" ? undefined : editor(config.name);
    if (by.kind === "release") {
      const { release } = by;
      const read = `helm get values ${release.name} --namespace ${release.namespace} --output yaml > values.yaml`;
      return [read, editor("values.yaml"), upgrade(release, "--values values.yaml")].join(" && ");
    }
    return config && `kubectl edit configmap ${config.name} --namespace ${namespace}`;
  },
  SET_ENFORCE: (installed) =>
    installed.by.kind === "release" && installed.config?.kind !== "file"
      ? `${upgrade(installed.by.release)} --set config.mode=enforce`
      : FORMS.EDIT_CONFIG(installed),
  FAIL_CLOSED: ({ by, name }) => {
    if (by.kind === "release") return `${upgrade(by.release)} --set webhook.failurePolicy=Fail`;
    const patch = `[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Fail"}]`;
    return `kubectl patch mutatingwebhookconfiguration ${name} --type=json --patch='${patch}'`;
  },
  RESTART_WEBHOOK: ({ name, namespace, isElsewhere, host }) => {
    if (!isElsewhere) return `kubectl rollout restart deployment/${name} --namespace ${namespace}`;
    const names = host === undefined ? "" : ` --tls-names ${host}`;
    return `flowgen-gateway certs --tls-secret ${name}-tls --namespace ${namespace} --webhook-configuration ${name}${names} --dry-run`;
  },
  WEBHOOK_LOGS: ({ name, namespace, isElsewhere }) =>
    isElsewhere ? undefined : `kubectl logs deployment/${name} --namespace ${namespace} --tail=50`,
};

const isCommand = (run: string): run is Command => commands.some((command) => command === run);

/** A finding's command as this installation takes it. */
export const commandIn = (run: string, installed: InstallForm): string | undefined =>
  isCommand(run) ? FORMS[run](installed) : run;

const NAME = "flowgen-gateway-webhook";
const BY_KUBECTL: InstallForm = {
  ...{ name: NAME, namespace: NAME, by: { kind: "kubectl" }, isElsewhere: false },
  config: { kind: "ConfigMap", name: `${NAME}-config` },
};
const DOCUMENTED: readonly (readonly [InstallForm, note: string])[] = [
  [{ ...BY_KUBECTL, by: { kind: "release", release: { name: NAME, namespace: NAME } } }, "installed with Helm"],
  [BY_KUBECTL, "installed with kubectl"],
  [{ name: NAME, namespace: NAME, by: { kind: "kubectl" }, isElsewhere: true }, "a webhook outside the cluster"],
];

/** A finding's command in all its forms, of an installation with the documented name. */
export const documentedCommands = (run: string): readonly string[] => {
  const forms = new Map<string, string>();
  for (const [installed, note] of DOCUMENTED) {
    const form = commandIn(run, installed);
    if (form !== undefined && !forms.has(form)) forms.set(form, note);
  }
  return forms.size === 1 ? [...forms.keys()] : [...forms].map(([form, note]) => `${form} # ${note}`);
};
