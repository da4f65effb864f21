/** A cluster that is looked at: nothing is written. Lists come in pages, and a pod is tried by a dry run. */
import { type Answer, readAnswer } from "./answers.ts";
import { type Cluster, ClusterError, type Kind, type KubeObject, type Ref, resources } from "./cluster.ts";
import { inNamespace, isNotFound, apiPath, type Question } from "./requests.ts";

/** The API server's answer to a pod that it did not make. */
export type TriedPod = {
  /** HTTP status; 201: it would have been made. */
  readonly code: number;
  /** Of a refusal. */
  readonly message: string;
  readonly warnings: readonly string[];
};

/** A right: authorization.k8s.io/v1 ResourceAttributes. */
export type Right = {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
};

/** Every call ends by `signal` at the latest. Every failure is a ClusterError. */
export type Reader = Pick<Cluster, "get" | "list"> & {
  /** The objects of a kind in pages; `namespace` `""` is all namespaces. */
  readonly pages: (
    kind: Kind,
    namespace: string,
    signal: () => AbortSignal,
  ) => AsyncGenerator<readonly KubeObject[], void>;
  /** Creates a pod in a dry run (`dryRun=All`): admission is real, and nothing is stored. */
  readonly tryPod: (pod: KubeObject, signal: AbortSignal) => Promise<TriedPod>;
  /**
   * Whether a user has the right (SubjectAccessReview). `undefined`: the user of this connection
   * (SelfSubjectAccessReview).
   */
  readonly may: (user: string | undefined, right: Right, signal: AbortSignal) => Promise<boolean>;
  /** The Events about an object. */
  readonly events: (about: Ref, signal: AbortSignal) => Promise<readonly KubeObject[]>;
  /** The API server's version, such as `v1.34.1`. */
  readonly version: (signal: AbortSignal) => Promise<string>;
  /** A pod's answer at a port, through the API server (the verb get of pods/proxy). */
  readonly proxied: (pod: Ref, port: number, path: string, signal: AbortSignal) => Promise<string>;
};

const PAGE = 100;

/** `ask` sends a request and returns the answer as it came. */
export const createReader = (ask: (question: Question, signal: AbortSignal) => Promise<Answer>): Reader => {
  const read = async (question: Question, signal: AbortSignal): Promise<unknown> =>
    readAnswer(question, await ask(question, signal));
  const asked = (ref: Ref, query: string, signal: AbortSignal) =>
    read({ verb: "list", ref, method: "GET", path: `${apiPath(ref)}?${query}` }, signal) as Promise<List>;
  return {
    get: async (ref, signal) => {
      try {
        return inNamespace(await read({ verb: "get", ref, method: "GET", path: apiPath(ref) }, signal));
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    list: async (kind, namespace, selector, signal) => {
      const labels = Object.entries(selector).map(([label, value]) => `${label}=${value}`);
      const query = String(new URLSearchParams({ labelSelector: labels.join(",") }));
      return itemsOf(kind, await asked({ kind, namespace, name: "" }, query, signal));
    },
    pages: async function* (kind, namespace, signal) {
      for (let next = ""; ;) {
        const query = new URLSearchParams({ limit: String(PAGE), ...(next !== "" && { continue: next }) });
        const list = await asked({ kind, namespace, name: "" }, String(query), signal());
        yield itemsOf(kind, list);
        next = list.metadata?.continue ?? "";
        if (next === "") return;
      }
    },
    tryPod: async (body, signal) => {
      const ref: Ref = { kind: "Pod", namespace: body.metadata.namespace, name: "" };
      const question: Question = { verb: "create", ref, method: "POST", path: `${apiPath(ref)}?dryRun=All`, body };
      const { code, text, warnings = "" } = await ask(question, signal);
      return { code, message: code < 300 ? "" : messageIn(text), warnings: warningsIn(warnings) };
    },
    may: async (user, { verb, group, resource, namespace = "", name = "" }, signal) => {
      const kind = user === undefined ? "SelfSubjectAccessReview" : "SubjectAccessReview";
      const ref: Ref = { kind, namespace: "", name: "" };
      const spec = {
        ...(user !== undefined && { user, groups: groupsOf(user) }),
        resourceAttributes: { verb, group, resource, namespace, name },
      };
      const body = { apiVersion: resources[kind].apiVersion, kind, metadata: {}, spec };
      const answer = await read({ verb: "create", ref, method: "POST", path: apiPath(ref), body }, signal);
      return (answer as { readonly status?: { readonly allowed?: boolean } }).status?.allowed === true;
    },
    events: async ({ kind, namespace, name }, signal) => {
      const query = new URLSearchParams({ fieldSelector: `involvedObject.kind=${kind},involvedObject.name=${name}` });
      return itemsOf("Event", await asked({ kind: "Event", namespace, name: "" }, String(query), signal));
    },
    version: async (signal) => {
      const ref: Ref = { kind: "Node", namespace: "", name: "" };
      const { code, text } = await ask({ verb: "get", ref, method: "GET", path: "/version" }, signal);
      if (code !== 200) throw new ClusterError({ verb: "get", ref, code, reason: "Version", says: messageIn(text) });
      return (JSON.parse(text) as { readonly gitVersion?: string }).gitVersion ?? "";
    },
    proxied: async (ref, port, path, signal) => {
      const question: Question = { verb: "get", ref, method: "GET", path: `${apiPath(ref)}:${port}/proxy${path}` };
      const { code, text } = await ask(question, signal);
      if (code === 200) return text;
      throw new ClusterError({ verb: "get", ref, code, reason: "Proxy", says: messageIn(text) });
    },
  };
};

type List = { readonly items: readonly KubeObject[]; readonly metadata?: { readonly continue?: string } };

/** The API server leaves apiVersion and kind out of the items of a list. */
const itemsOf = (kind: Kind, { items }: List): readonly KubeObject[] =>
  items.map((item) => inNamespace({ ...item, apiVersion: resources[kind].apiVersion, kind }));

/** The message of a meta/v1 Status, or the beginning of another answer. */
const messageIn = (text: string): string => {
  try {
    return (JSON.parse(text) as { readonly message?: string }).message ?? "";
  } catch {
    return text.slice(0, 200);
  }
};

/** The texts of `Warning: 299 - "text"` (RFC 7234, 5.5). */
const warningsIn = (header: string): readonly string[] =>
  [...header.matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = ""]) => text.replace(/\\(.)/g, "$1"));

/** The groups that the API server gives to a ServiceAccount's token. */
const groupsOf = (user: string): readonly string[] => {
  const [, , namespace] = user.split(":");
  return user.startsWith("system:serviceaccount:")
    ? ["system:serviceaccounts", `system:serviceaccounts:${String(namespace)}`, "system:authenticated"]
    : ["system:authenticated"];
};
