// A real PostgreSQL behind a tunnel.
import { chownSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { tryRun, startOn, type Host } from "./hosts.ts";
import { until } from "../../wait.ts";

const root = "/usr/lib/postgresql";
export const postgresBin = (): string => join(root, readdirSync(root).sort().at(-1) ?? "", "bin");

export type TlsPair = { readonly cert: string; readonly key: string };

// A server without password on port 5432 of ADDRESSES (a list with commas), in a directory of its own. `tls`: it takes
// only clients that use TLS. Call it after the host exists: the directory goes when the host is gone.
export const startPostgres = async (
  t: { readonly teardown: (handler: () => Promise<void>) => unknown },
  host: Host,
  addresses: string,
  tls?: TlsPair,
): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), "flowgen-postgres-"));
  t.teardown(async () => {
    rmSync(directory, { recursive: true, force: true });
    await Promise.resolve();
  });
  const user = Number(execFileSync("id", ["-u", "postgres"], { encoding: "utf8" }));
  chownSync(directory, user, user);
  const asPostgres = ["setpriv", "--pdeathsig", "KILL", `--reuid=${user}`, `--regid=${user}`, "--clear-groups"];
  const [setpriv = "", ...args] = asPostgres;
  const bin = postgresBin();
  execFileSync(setpriv, [...args, join(bin, "initdb"), "-D", directory, "-A", "trust", "-U", "postgres", "--no-sync"], {
    stdio: "pipe",
  });
  const kind = tls === undefined ? "host" : "hostssl";
  writeFileSync(join(directory, "pg_hba.conf"), `${kind} all all all trust\n`);
  for (const [name, text] of Object.entries({ "server.crt": tls?.cert, "server.key": tls?.key })) {
    if (text === undefined) continue;
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    chownSync(join(directory, name), user, user);
  }
  const settings = {
    listen_addresses: addresses,
    unix_socket_directories: "",
    fsync: "off",
    max_connections: "200",
    ssl: tls === undefined ? "off" : "on",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  startOn(host, [...asPostgres, join(bin, "postgres"), "-D", directory, ...options]);
  await until("PostgreSQL", () => tryRun(host, `${bin}/pg_isready -q -h ${addresses.split(",")[0]}`).status === 0);
};
