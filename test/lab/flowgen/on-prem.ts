// The private side: a VPN server, and the servers behind it that flowgen's tasks dial.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCa, makeLeaf } from "../../../src/certificates/issue.ts";
import { findServers } from "../control-plane/programs.ts";
import { startVpnOnLan } from "../node/on-prem.ts";
import { until } from "../../wait.ts";
import { run, startOn } from "../vpn/hosts.ts";
import { startDns } from "../vpn/network.ts";
import { startPostgres } from "../vpn/postgres.ts";
import type { Vpn } from "../vpn/vpn.ts";
import { PRIVATE_DNS, SERVERS, type ServerFiles, type ServerName, type ServerSettings } from "./servers.ts";

type Test = { readonly teardown: (handler: () => Promise<void>) => unknown };

export type OnPrem = {
  readonly vpn: Vpn;
  /** The CA of all certificates, PEM. */
  readonly ca: string;
};

const DAY = 24 * 3_600_000;
const { api, mongo, nats, sql, db } = SERVERS;

/** Starts all of SERVERS behind a VPN server at this address of the LAN; returns when they listen. */
export const startPrivateServers = async (t: Test, lanAddress: string): Promise<OnPrem> => {
  const addresses = Object.values(SERVERS).map(({ address }) => address);
  const vpn = await startVpnOnLan(t, lanAddress, [PRIVATE_DNS, ...addresses]);
  const folder = await mkdtemp(join(tmpdir(), "flowgen-servers-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const now = Date.now();
  const ca = await makeCa(DAY, now);
  const pairOf = (name: ServerName): Promise<ServerFiles> => makeLeaf(ca, [SERVERS[name].host], DAY, now);

  const known = [api, mongo, sql, db].map(({ host, address }) => [host, address] as const);
  startDns(vpn.host, PRIVATE_DNS, Object.fromEntries(known));
  const bin = await findServers();
  startOn(vpn.host, [join(bin, "ferretdb"), `${mongo.address}:${mongo.port}`, folder]);
  const jetStream = ["-js", "-sd", join(folder, "jetstream")];
  startOn(vpn.host, [join(bin, "nats-server"), "-a", nats.address, "-p", String(nats.port), ...jetStream]);
  const settings: ServerSettings = { api: await pairOf("api"), erp: await pairOf("erp"), sql: await pairOf("sql") };
  const played = [process.execPath, join(import.meta.dirname, "servers.ts"), JSON.stringify(settings)];
  startOn(vpn.host, played);
  await startPostgres(t, vpn.host, db.address, await pairOf("db"));
  for (const { address, port } of Object.values(SERVERS))
    await until(`a server at ${address}:${port}`, () => run(vpn.host, "ss -tlnH").includes(`${address}:${port} `));
  return { vpn, ca: ca.cert };
};
