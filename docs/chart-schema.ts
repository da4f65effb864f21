/** The schema by which Helm checks the chart's values: written by hand, but for the config, which is the program's own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The file, as a path from this folder. */
export const CHART_SCHEMA = "../deploy/helm/flowgen-gateway-webhook/values.schema.json";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Values = { readonly properties: Readonly<Record<string, Json>> };

/** The chart's schema as it stands, with the config's put in. */
export const chartSchema = (config: object): object => {
  const values = JSON.parse(readFileSync(join(import.meta.dirname, CHART_SCHEMA), "utf8")) as Values;
  return { ...values, properties: { ...values.properties, config: forHelm(config as Json) } };
};

/** Keywords without a meaning for a validator of a part of a schema. */
const NO_RULES = new Set(["$schema", "title", "default"]);

/** Without these, and without the patterns that Helm cannot read: Go's regular expressions look neither ahead nor back. */
const forHelm = (schema: Json): Json => {
  if (Array.isArray(schema)) return (schema as readonly Json[]).map(forHelm);
  if (schema === null || typeof schema !== "object") return schema;
  const rules = Object.entries(schema).filter(
    ([key, value]) => !NO_RULES.has(key) && !(key === "pattern" && isBeyondGo(value)),
  );
  return Object.fromEntries(
    rules.map(([key, value]) => [key, key === "properties" ? eachProperty(value) : forHelm(value)]),
  );
};

const isBeyondGo = (pattern: Json): boolean => typeof pattern === "string" && /\(\?[=!<]/.test(pattern);

/** The keys of `properties` are the config's own names: `default` or `title` may be one. */
const eachProperty = (properties: Json): Json =>
  Object.fromEntries(
    Object.entries(properties as Readonly<Record<string, Json>>).map(([name, value]) => [name, forHelm(value)]),
  );
