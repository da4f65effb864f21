/** Fields of a registration that keep the API server from asking about an annotated pod. */
import { annotation } from "../core/names.ts";
import type { RegisteredWebhook } from "./objects.ts";

const NAMESPACE_NAME = "kubernetes.io/metadata.name";
const covers = (list: readonly string[] | undefined, value: string): boolean =>
  list === undefined || list.includes(value) || list.includes("*");

/** The fields that leave out an annotated pod of the namespace. CEL is not evaluated: a condition that does not name the annotation is named. */
export const unaskedBecause = (webhook: RegisteredWebhook, namespace: string): readonly string[] => {
  const { rules = [], objectSelector = {}, namespaceSelector = {}, matchConditions = [], failurePolicy } = webhook;
  const asksPods = rules.some(
    ({ apiGroups, operations, resources }) =>
      covers(apiGroups, "") && covers(operations, "CREATE") && (covers(resources, "pods") || resources.includes("*/*")),
  );
  const isShut = (namespaceSelector.matchExpressions ?? []).some(
    ({ key, operator, values = [] }) =>
      key === NAMESPACE_NAME && values.includes(namespace) === (operator === "NotIn") && operator.endsWith("In"),
  );
  const others = matchConditions.filter(({ expression }) => !expression.includes(annotation.targets));
  return [
    ...(asksPods ? [] : ["its rules have no CREATE of pods"]),
    ...(isEmpty(objectSelector) ? [] : ["its objectSelector asks for labels"]),
    ...(isShut ? [`its namespaceSelector leaves out ${namespace}`] : []),
    ...(isEmpty({ matchLabels: namespaceSelector.matchLabels ?? {} })
      ? []
      : ["its namespaceSelector asks for labels of the namespace"]),
    ...others.map(({ name }) => `its matchCondition ${name} does not ask for ${annotation.targets}`),
    ...(failurePolicy === "Ignore" ? ["its failurePolicy is Ignore"] : []),
  ];
};

type Selector = NonNullable<RegisteredWebhook["objectSelector"]>;
const isEmpty = ({ matchLabels = {}, matchExpressions = [] }: Selector): boolean =>
  Object.keys(matchLabels).length + matchExpressions.length === 0;
