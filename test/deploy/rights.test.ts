// The chart gives the rights that its README lists: each feature's rules, absent when the feature is off.
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { CHART, findHelm, type RenderedObject, template } from "../lab/control-plane/helm.ts";

const home = await mkdtemp(join(tmpdir(), "flowgen-rights-"));
t.teardown(() => rm(home, { recursive: true, force: true }));
const helm = await findHelm(home);
const page = readFileSync(join(CHART, "README.md"), "utf8");

type Rule = { readonly verbs: readonly string[]; readonly resources: readonly string[] };
const linesOf = ({ kind, metadata, rules }: RenderedObject): readonly string[] =>
  ["Role", "ClusterRole"].includes(kind)
    ? (rules as readonly Rule[]).map(
        ({ verbs, resources }) => `${metadata.namespace ?? "cluster"}: ${verbs.join()} ${resources.join()}`,
      )
    : [];
const rulesWith = async (values: object): Promise<readonly string[]> => (await template(helm, values)).flatMap(linesOf);

/** `a.b=c` as the values that it sets. */
const valuesOf = (set: string): object => {
  const [path = "", value = ""] = set.split("=");
  const last: unknown = ["true", "false"].includes(value) ? value === "true" : value;
  return path.split(".").reduceRight((inner, key) => ({ [key]: inner }), last) as object;
};
const quoted = (text: string): readonly string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, each = ""]) => each);

/** The same rule may be of two roles. */
const without = (rules: readonly string[], left: readonly string[]): readonly string[] => {
  const rest = [...left];
  return rules.filter((rule) => {
    const at = rest.indexOf(rule);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
};

const everything = { reconcile: { enabled: true } };
const all = await rulesWith(everything);
const rows = [...page.matchAll(/^\| ([^|]+) \| `([\w.]+=\w+)`(?: \(the default\))? +\| (.+) \|$/gm)];
/** The rules of the gateways, listed below the table. */
const always = [...page.matchAll(/^- `([^`]+)`/gm)].map(([, rule = ""]) => `flowgen-gateway: ${rule}`);

for (const [, feature = "", off = "", rules = ""] of rows) {
  t.test(`${feature.trim()}: off by ${off}`, async (t) => {
    const left = await rulesWith({ ...everything, ...valuesOf(off) });
    const gone = without(all, left);
    t.strictSame(gone.toSorted(), (off === "rbac.create=false" ? all : quoted(rules)).toSorted());
    t.ok(gone.length > 0);
  });
}

t.test("no rule is left out of the page", async (t) => {
  t.equal(rows.length, 7);
  const written = [...rows.flatMap(([, , , rules = ""]) => quoted(rules)), ...always];
  t.strictSame([...new Set(written)].toSorted(), [...new Set(all)].toSorted());
});
