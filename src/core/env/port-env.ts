import { perName } from "../memo.ts";

const SUFFIXES = [
  "_host_name",
  "_server_name",
  "hostname",
  "host",
  "server",
  "address",
  "addr",
  "fqdn",
  "_ip",
  "endpoint",
];

const suffixOf = (name: string): string | undefined => {
  const lower = name.toLowerCase();
  return SUFFIXES.find((end) => lower.endsWith(end));
};

/** The beginning that a host env shares with its other settings: `PG` of `PGHOST`, `DB` of `DB_HOST`; empty: none. */
export const settingsPrefix = perName((name): string => {
  const rest = name.slice(0, name.length - (suffixOf(name)?.length ?? 0));
  return (rest === name ? name.replace(/_?(urls?|uri|dsn|hosts|servers)$/i, "") : rest).replace(/_$/, "").toLowerCase();
});

/** The case of a suffix, given to `port`. */
const inCaseOf = (suffix: string): string => {
  if (suffix === suffix.toLowerCase()) return "port";
  return suffix === suffix.toUpperCase() ? "PORT" : "Port";
};

/**
 * Names of the env that may hold the port of a host env, likeliest first: `X_HOST` → `X_PORT`, `PGHOST` → `PGPORT`,
 * `DbHost` → `DbPort`.
 */
export const portNames = perName((name): readonly string[] => {
  const suffix = suffixOf(name);
  if (suffix === undefined) return [`${name}_PORT`];
  const written = name.slice(-suffix.length);
  const bare = written.replace(/^_/, "");
  const stem = name.slice(0, -bare.length);
  return [`${stem}${inCaseOf(bare)}`, `${name}_PORT`];
});
