import t from "tap";
import { suggestTargets } from "../../src/core/suggest.ts";
import { configOf, podOf } from "../making.ts";

const config = configOf(`
gateways:
  - namespace: g
    tunnels:
      - {name: wg0, secretName: a, allowedTargets: [10.0.0.0/8, "*.corp.example.com"], namespaces: [team-a]}
`);
const suggested = (env: Record<string, string>, files: readonly string[] = [], namespace = "team-a") =>
  suggestTargets(podOf(undefined, env), namespace, config, files);

t.test("servers that a tunnel carries, as env name them", async (t) => {
  const rows: readonly (readonly [Record<string, string>, string | undefined])[] = [
    [{ A: "10.0.0.5:1433" }, "10.0.0.5:1433"],
    [{ DB_HOST: "10.0.0.5", DB_PORT: "1433" }, "10.0.0.5:1433"],
    [{ URL: "postgres://app:s3cret@10.0.0.6/prod" }, "10.0.0.6:5432"],
    [{ URL: "https://orders.corp.example.com/v1" }, "orders.corp.example.com:443"],
    [{ C: "Server=tcp:sql.corp.example.com,1433;Database=x" }, "sql.corp.example.com:1433"],
    [{ A: "10.0.0.5:1", B: "10.0.0.5:1", C: "10.0.0.6:2" }, "10.0.0.5:1, 10.0.0.6:2"],
    [{ A: "192.168.0.5:1433", B: "https://example.com", DB_HOST: "10.0.0.5", N: "1.2.3" }, undefined],
  ];
  for (const [env, wanted] of rows) t.equal(suggested(env), wanted, JSON.stringify(env));
});

t.test("files", async (t) => {
  t.equal(suggested({}, ['{"host": "sql.corp.example.com", "port": 1433}']), "sql.corp.example.com:1433");
  t.equal(suggested({}, ["servers:\n  - 10.1.2.3:4222\n  - nats://10.1.2.4:4222\n"]), "10.1.2.3:4222, 10.1.2.4:4222");
  t.equal(suggested({}, ["host: 10.0.0.9\nport: 27017\n"]), "10.0.0.9:27017");
});

t.test("texts that are no setting, or no server", async (t) => {
  t.equal(suggested({ A: `10.0.0.5:1433${" ".repeat(70_000)}` }), undefined);
  t.equal(suggested({}, [`${" ".repeat(70_000)}10.0.0.5:1433`]), undefined);
  t.equal(suggested({}, ["10.0.0.5:99999"]), undefined);
  const { metadata, spec } = podOf(undefined, { A: "10.0.0.5:1433" });
  const gateway = { "app.kubernetes.io/component": "wireguard-gateway", ...metadata.labels };
  t.equal(suggestTargets({ metadata: { labels: gateway }, spec }, "team-a", config), undefined);
  t.equal(suggestTargets({ metadata: {}, spec }, "team-a", config), undefined);
  t.equal(
    suggestTargets(podOf(undefined, { A: "10.0.0.5:1433" }, { "flowgen.io/gateway": "no" }), "team-a", config),
    undefined,
  );
  const texts = [{ at: "args[0]", text: "--server=10.0.0.6:1433" }];
  const init = { name: "init", env: [{ name: "B" }], texts };
  const pod = { metadata, spec: { containers: spec.containers, initContainers: [init, { name: "bare" }] } };
  t.equal(suggestTargets(pod, "team-a", config), "10.0.0.5:1433, 10.0.0.6:1433");
  const many = Array.from({ length: 30 }, (_, index) => `10.0.0.${index}:1`).join("\n");
  t.equal(suggested({}, [many])?.split(", ").length, 20);
});

t.test("nothing for pods of others, of another namespace, and those that are annotated", async (t) => {
  const env = { A: "10.0.0.5:1433" };
  t.equal(suggested(env, [], "team-b"), undefined);
  t.equal(suggestTargets(podOf("a=10.0.0.5:1433", env), "team-a", config), undefined);
  const { spec } = podOf(undefined, env);
  t.equal(suggestTargets({ metadata: { labels: { app: "other" } }, spec }, "team-a", config), undefined);
});
