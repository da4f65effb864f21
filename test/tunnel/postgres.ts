// A real PostgreSQL behind a tunnel.
import { chownSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { attempt, startOn, until, type Host } from "./hosts.ts";

const root = "/usr/lib/postgresql";
export const postgresBin = (): string => join(root, readdirSync(root).sort().at(-1) ?? "", "bin");

// A server without password on ADDRESS:5432, in a directory of its own. Call it after the host exists: the directory
// goes when the host is gone.
export const startPostgres = async (
  t: { readonly teardown: (handler: () => Promise<void>) => unknown },
  host: Host,
  address: string,
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
  execFileSync("sh", ["-c", `echo 'host all all all trust' >>'${directory}/pg_hba.conf'`]);
  const settings = { listen_addresses: address, unix_socket_directories: "", fsync: "off", max_connections: "200" };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  startOn(host, [...asPostgres, join(bin, "postgres"), "-D", directory, ...options]);
  await until("PostgreSQL", () => attempt(host, `${bin}/pg_isready -q -h ${address}`).status === 0);
};
