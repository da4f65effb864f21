/** The pods that the demo makes, and the answers, objects and forwards that they must get. */
export type DemoVerdict = "patched" | "denied" | "untouched";
export type Chapter = {
  readonly title: string;
  readonly replicas: number;
  readonly expected: DemoVerdict;
  /** The env that the admitted pods must hold. */
  readonly env: Readonly<Record<string, string>>;
};

const HOST = "flowgen-wireguard-gateway.flowgen-gateway.svc";
/** Of the second server on port 1433: the gateway's own Service has that port already. */
const WAREHOUSE_SERVICE = "flowgen-wireguard-gateway-10-0-0-7-a5b5a561";

/** One for each workload of examples/flowgen-deployments.yaml, in its order. */
export const CHAPTERS: readonly Chapter[] = [
  {
    title: "A Deployment of 3 replicas asks for two private servers",
    replicas: 3,
    expected: "patched",
    env: { MSSQL_HOST: HOST, MSSQL_PORT: "1433", DATABASE_URL: `postgres://app:s3cret@${HOST}:5432/prod` },
  },
  {
    title: "A second one shares a server, and adds another on the same port",
    replicas: 1,
    expected: "patched",
    env: {
      MSSQL_URL: `Server=tcp:${HOST},1433;Database=prod;User Id=app;Password=s3cret`,
      WAREHOUSE_SERVER: `${WAREHOUSE_SERVICE}.flowgen-gateway.svc`,
      WAREHOUSE_PORT: "1433",
    },
  },
  { title: "A third asks for a server that no pod may have", replicas: 1, expected: "denied", env: {} },
  {
    title: "A fourth is in audit mode",
    replicas: 1,
    expected: "untouched",
    env: { FTP_HOST: "files.corp.example.com" },
  },
];
export const DEMO_FORWARDS = ["mssql 1433", "postgres 5432", "warehouse 1434"];
export const DEMO_OBJECTS = [
  "ConfigMap flowgen-gateway/flowgen-wireguard-gateway-forwards",
  "ConfigMap flowgen-gateway/flowgen-wireguard-gateway-scripts",
  "Deployment flowgen-gateway/flowgen-wireguard-gateway",
  "NetworkPolicy flowgen-gateway/flowgen-wireguard-gateway",
  "Service flowgen-gateway/flowgen-wireguard-gateway",
  `Service flowgen-gateway/${WAREHOUSE_SERVICE}`,
];
