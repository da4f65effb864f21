// The private servers that flowgen's tasks dial, with their names. A process plays those that are no programs of their
// own: `node servers.ts SETTINGS` on the host with the addresses, with a Settings object as JSON.
import { createServer } from "node:https";
import { createSqlServer } from "./sql-server.ts";

/** `host` is in the server's certificate, where it has one. */
export const SERVERS = {
  api: { address: "10.0.0.5", host: "orders.corp.example.com", port: 443 },
  /** On the same port as the other; no DNS knows its name. */
  erp: { address: "10.0.0.6", host: "erp.corp.example.com", port: 443 },
  mongo: { address: "10.0.0.7", host: "mongo.corp.example.com", port: 27017 },
  nats: { address: "10.0.0.8", host: "nats.corp.example.com", port: 4222 },
  sql: { address: "10.0.0.9", host: "sql.corp.example.com", port: 1433 },
  db: { address: "10.0.0.10", host: "db.corp.example.com", port: 5432 },
} as const;
/** The DNS server behind the tunnel. */
export const PRIVATE_DNS = "10.0.0.2";
export const SQL_LOGIN = { user: "flowgen", password: "correct horse" } as const;

export type ServerName = keyof typeof SERVERS;
/** PEM texts. */
export type ServerFiles = { readonly cert: string; readonly key: string };
export type ServerSettings = Readonly<Record<"api" | "erp" | "sql", ServerFiles>>;

/** Answers every request with its own name and the address at which it was asked. */
const serveHttps = (name: "api" | "erp", pair: ServerFiles): void => {
  const { port, address } = SERVERS[name];
  const server = createServer(pair, ({ socket }, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ name, address: socket.localAddress }));
  });
  server.listen(port, address);
};

if (import.meta.main) {
  const settings = JSON.parse(process.argv[2] ?? "") as ServerSettings;
  serveHttps("api", settings.api);
  serveHttps("erp", settings.erp);
  createSqlServer({ ...settings.sql, ...SQL_LOGIN, name: "sql" }).listen(SERVERS.sql.port, SERVERS.sql.address);
}
