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

/** The case of a suffix, given to `port`. */
const inCaseOf = (suffix: string): string => {
  if (suffix === suffix.toLowerCase()) return "port";
  return suffix === suffix.toUpperCase() ? "PORT" : "Port";
};

/**
 * Names of the env that may hold the port of a host env, likeliest first: `X_HOST` → `X_PORT`, `PGHOST` → `PGPORT`,
 * `DbHost` → `DbPort`.
 */
export const portNames = (name: string): string[] => {
  const lower = name.toLowerCase();
  const suffix = SUFFIXES.find((end) => lower.endsWith(end));
  if (suffix === undefined) return [`${name}_PORT`];
  const written = name.slice(-suffix.length);
  const bare = written.replace(/^_/, "");
  const stem = name.slice(0, -bare.length);
  return [`${stem}${inCaseOf(bare)}`, `${name}_PORT`];
};
