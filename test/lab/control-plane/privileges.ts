// The rights of the webhook's ServiceAccount, as the API server lists them for the webhook's token.
import { join } from "node:path";
import type { Scene } from "./scene.ts";

type Rule = {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
};
type Review = { readonly status: { readonly resourceRules: readonly Rule[]; readonly incomplete: boolean } };

/** The option by which kubectl is the webhook. */
export const asWebhook = ({ controlPlane }: Scene): string =>
  `--kubeconfig=${join(controlPlane.folder, "webhook.kubeconfig")}`;

/** The webhook's rules in a namespace beyond what every account may, a line each. */
export const privileges = async (scene: Scene, namespace: string): Promise<readonly string[]> => {
  const everybody = ["--as=system:serviceaccount:team-a:default", "--as-group=system:authenticated"];
  const usual = await rules(scene, namespace, everybody);
  return (await rules(scene, namespace, [asWebhook(scene)])).filter((rule) => !usual.includes(rule)).sort();
};

const rules = async ({ kubectl }: Scene, namespace: string, as: readonly string[]): Promise<readonly string[]> => {
  const body = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectRulesReview", spec: { namespace } };
  const answer = await kubectl(["create", ...as, "--validate=false", "-o", "json", "-f", "-"], JSON.stringify(body));
  const { status } = JSON.parse(answer) as Review;
  if (status.incomplete) throw new Error("the API server does not list all rules");
  return status.resourceRules.map(lineOf);
};

const lineOf = ({ verbs, apiGroups, resources, resourceNames = [] }: Rule): string => {
  const groups = apiGroups.map((group) => (group === "" ? "core" : group));
  const names = resourceNames.length > 0 ? ` named ${resourceNames.join()}` : "";
  return `${verbs.join()} ${resources.join()} of ${groups.join()}${names}`;
};
