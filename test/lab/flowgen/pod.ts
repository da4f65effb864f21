// flowgen as its chart 0.19.0 deploys it, with a flow for each kind of task. Beside it runs psql, because flowgen has
// no task for PostgreSQL. Its flows and credentials name the private servers as they are: nothing in them knows of a
// gateway.
import { FLOWGEN } from "../node/image-list.ts";
import { FLOWGEN_IMAGE } from "./image.ts";
import { SERVERS, SQL_LOGIN } from "./servers.ts";

const { api, erp, mongo, nats, sql, db } = SERVERS;

const flow = (...tasks: readonly object[]): string =>
  JSON.stringify({
    flow: { tasks: [{ generate: { name: "tick", interval: "1s" } }, ...tasks, { log: { name: "out" } }] },
  });

const http = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  flow({ http_request: { name: "call", endpoint: `https://${host}:${port}/orders`, method: "GET" } });

const FLOWS = {
  api: http(api),
  erp: http(erp),
  mongo: flow({
    mongodb_collection: {
      name: "write",
      operation: "write",
      credentials_path: "/etc/credentials/mongo.json",
      db_name: "sales",
      collection_name: "orders",
    },
  }),
  nats: flow({
    nats_jetstream_publisher: {
      name: "publish",
      url: "{{env.NATS_URL}}",
      subject: "orders.new",
      stream: { name: "ORDERS", subjects: ["orders.>"], create_or_update: true },
    },
  }),
  sql: flow(
    { mssql_query: { name: "ask", credentials_path: "/etc/credentials/sql.json", query: "SELECT * FROM orders" } },
    { convert: { name: "rows", target_format: "json" } },
  ),
} as const;

const CREDENTIALS = {
  "mongo.json": JSON.stringify({ host: mongo.host, port: mongo.port }),
  "sql.json": JSON.stringify({
    host: sql.host,
    port: sql.port,
    database: "orders",
    username: SQL_LOGIN.user,
    password: SQL_LOGIN.password,
  }),
};

const PSQL = `
while :; do
  psql -XAtc 'select inet_server_addr()' 2>&1 | sed 's/^/psql /'
  sleep 1
done`;

/** The sources of events: the flows, and psql. */
export const TASKS = [...(Object.keys(FLOWS) as (keyof typeof FLOWS)[]), "psql"] as const;
export type Task = (typeof TASKS)[number];

export type FlowgenWish = {
  readonly namespace: string;
  readonly name: string;
  /** The CA that the pod trusts, PEM. */
  readonly ca: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Fields of the pod's spec besides. */
  readonly spec?: object;
};

/** The objects, as a list to apply. */
export const flowgenObjects = ({ namespace, name, ca, annotations, spec = {} }: FlowgenWish): string => {
  const labels = { app: "flowgen", "app.kubernetes.io/name": "flowgen", "app.kubernetes.io/instance": name };
  const config = JSON.stringify({ flows: { path: "/etc/app/flows" }, health: { port: 8081 } });
  const flows = Object.fromEntries(Object.entries(FLOWS).map(([flow, text]) => [`${flow}.yaml`, text]));
  const object = (apiVersion: string, kind: string, name: string, fields: object): object => ({
    apiVersion,
    kind,
    metadata: { namespace, name },
    ...fields,
  });
  const items = [
    object("v1", "ConfigMap", `${name}-config`, { data: { "config.yaml": config } }),
    object("v1", "ConfigMap", `${name}-flows`, { data: flows }),
    object("v1", "Secret", `${name}-credentials`, { stringData: CREDENTIALS }),
    object("v1", "ConfigMap", `${name}-ca`, { data: { "ca.pem": ca } }),
    object("apps/v1", "Deployment", name, {
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels, annotations }, spec: { ...podSpec(name), ...spec } },
      },
    }),
  ];
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
};

const security = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  readOnlyRootFilesystem: true,
  seccompProfile: { type: "RuntimeDefault" },
};
const mount = (name: string, mountPath: string): object => ({ name, mountPath, readOnly: true });
const CA_FILE = "/etc/ca/ca.pem";

const podSpec = (name: string): object => ({
  // The chart's 45 s would only make its tests wait: while a flow still connects, flowgen does not end on SIGTERM.
  terminationGracePeriodSeconds: 1,
  securityContext: { runAsNonRoot: true, runAsUser: 65534, fsGroup: 65534 },
  containers: [
    {
      name: "flowgen",
      image: FLOWGEN_IMAGE,
      command: ["/bin/flowgen", "--config", "/etc/app/config.yaml"],
      securityContext: security,
      env: Object.entries({ NATS_URL: `nats://${nats.address}:${nats.port}`, SSL_CERT_FILE: CA_FILE }).map(
        ([name, value]) => ({ name, value }),
      ),
      ports: [{ name: "health", containerPort: 8081, protocol: "TCP" }],
      volumeMounts: [
        { name: "tmp", mountPath: "/tmp" },
        mount("config", "/etc/app"),
        mount("flows", "/etc/app/flows"),
        mount("credentials", "/etc/credentials"),
        mount("ca", "/etc/ca"),
      ],
    },
    {
      name: "psql",
      image: FLOWGEN,
      command: ["sh", "-c", PSQL],
      securityContext: security,
      env: Object.entries({
        PGHOST: db.host,
        PGPORT: String(db.port),
        PGUSER: "postgres",
        PGSSLMODE: "verify-full",
        PGSSLROOTCERT: CA_FILE,
        PGCONNECT_TIMEOUT: "5",
      }).map(([name, value]) => ({ name, value })),
      volumeMounts: [mount("ca", "/etc/ca")],
    },
  ],
  volumes: [
    { name: "tmp", emptyDir: {} },
    { name: "config", configMap: { name: `${name}-config` } },
    { name: "flows", configMap: { name: `${name}-flows` } },
    { name: "credentials", secret: { secretName: `${name}-credentials`, defaultMode: 0o440 } },
    { name: "ca", configMap: { name: `${name}-ca` } },
  ],
});
