import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import t, { type Test } from "tap";
import { demo } from "../../src/commands/demo/demo.ts";
import { forwardRows } from "../../src/commands/demo/print.ts";
import { UsageError } from "../../src/commands/options/options.ts";

const example = (name: string): string => readFileSync(new URL(`../../examples/${name}`, import.meta.url), "utf8");
const DEPLOYMENTS = example("flowgen-deployments.yaml");
const CONFIG = example("webhook-config.yaml");

const told = async (t: Test, deployments: string, config = CONFIG) => {
  const folder = t.testdir({ "flowgen-deployments.yaml": deployments, "webhook-config.yaml": config });
  let out = "";
  const code = await demo({ out: (more) => (out += more), err: (more) => t.fail(more) }, pathToFileURL(`${folder}/`));
  t.notMatch(out, /s3cret/);
  return { code, out };
};

t.test("all as it should be", async (t) => {
  const { code, out } = await told(t, DEPLOYMENTS);
  t.equal(code, 0);
  t.match(
    out,
    /3 replicas[^]*pod 3 of team-a\/flowgen: patched[^]*denied[^]*403[^]*audit mode[^]*FORWARD[^]*All as it should be \(\d+ ms\)\n$/,
  );
  t.match(out, "postgres://***@flowgen-wireguard-gateway.flowgen-gateway.svc:5432/prod");
});

t.test("exit code 1 when an answer, the env, or the table is not what it should be", async (t) => {
  t.match(await told(t, DEPLOYMENTS.replace("169.254.169.254:80", "10.0.0.8:80")), {
    code: 1,
    out: /Not as it should be:\n {2}A third asks for a server that no pod may have: expected denied, was patched\n {2}the forward table: expected/,
  });
  t.match(await told(t, DEPLOYMENTS.replace("value: 10.0.0.5 }", "value: 10.0.0.4 }")), {
    code: 1,
    out: /MSSQL_HOST of pod 3 is not what it should be/,
  });
  t.match(await told(t, DEPLOYMENTS.slice(0, DEPLOYMENTS.indexOf("---"))), {
    code: 1,
    out: /A second one[^\n]*: flowgen-deployments.yaml has no such workload/,
  });
  t.match(await told(t, DEPLOYMENTS, CONFIG.replace("namespace: flowgen-gateway", "namespace: elsewhere")), {
    code: 1,
    out: /the gateway's objects: expected ConfigMap flowgen-gateway\/.*was ConfigMap elsewhere\//,
  });
});

t.test("without examples", async (t) => {
  const nowhere = demo({ out: () => undefined, err: () => undefined }, new URL("file:///nowhere/"));
  const error = await nowhere.catch((thrown: unknown) => thrown);
  t.ok(error instanceof UsageError);
  t.match(error, { message: /the demo needs the folder examples beside the program: .*nowhere/ });
});

t.test("a table that cannot be read is shown as the reason", (t) => {
  t.match(forwardRows("{"), [[/table.json/]]);
  t.end();
});
