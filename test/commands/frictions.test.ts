/** Small inputs that users tried, each with the message of `audit -f`: the mistake and its fix. */
import { existsSync } from "node:fs";
import t, { type Test } from "tap";
import { audit } from "../../src/commands/audit/audit.ts";
import { runProgram } from "../../src/commands/program/program.ts";
import { readConfig } from "../../src/core/config/config.ts";
import { files } from "./injecting.ts";

type Written = {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly onWorkload?: Readonly<Record<string, unknown>>;
  readonly env?: readonly { readonly name: string; readonly value: string }[];
};

const TARGETS = "flowgen.io/private-targets";
const GOOD = "mssql=10.0.0.5:1433";

const deployment = ({ annotations = {}, onWorkload = {}, env = [] }: Written): string =>
  JSON.stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "orders", namespace: "team-a", ...onWorkload },
    spec: {
      selector: { matchLabels: { app: "orders" } },
      template: {
        metadata: { labels: { app: "orders", "app.kubernetes.io/name": "flowgen" }, annotations },
        spec: { containers: [{ name: "flowgen", image: "flowgen", env }] },
      },
    },
  });

const asked = (value: string, env: Written["env"] = []): Written => ({ annotations: { [TARGETS]: value }, env });
const instead = (key: string): Written => ({ annotations: { [key]: GOOD } });

const FRICTIONS: Readonly<Record<string, readonly [written: Written, code: number, says: RegExp]>> = {
  "the key in the singular": [
    instead("flowgen.io/private-target"),
    0,
    /flowgen.io\/private-target is not read: did you mean flowgen.io\/private-targets\?/,
  ],
  "the key without its domain": [
    instead("private_targets"),
    0,
    /private_targets is not read: did you mean flowgen.io\/private-targets\?/,
  ],
  "the key in camel case": [
    instead("privateTargets"),
    0,
    /privateTargets is not read: did you mean flowgen.io\/private-targets\?/,
  ],
  "the key with another domain": [
    instead("flowgen.com/private-targets"),
    0,
    /flowgen.com\/private-targets is not read: did you mean flowgen.io\/private-targets\?/,
  ],
  "the annotation on the workload": [
    { onWorkload: { annotations: { [TARGETS]: GOOD } } },
    0,
    /stands on the workload: put it on spec.template.metadata.annotations/,
  ],
  "a label in place of the annotation": [
    { onWorkload: { labels: { [TARGETS]: "mssql" } } },
    0,
    /private-targets is a label and is not read: write it as an annotation of the pod template/,
  ],
  "a gateway's key with a letter missing": [
    { annotations: { [TARGETS]: GOOD, "flowgen.io/gatway": "x" } },
    0,
    /flowgen.io\/gatway is not read: did you mean flowgen.io\/gateway\?/,
  ],
  "a tunnel's key with a letter missing": [
    { annotations: { [TARGETS]: GOOD, "flowgen.io/tunel": "wg9" } },
    0,
    /flowgen.io\/tunel is not read: did you mean flowgen.io\/tunnel\?/,
  ],
  "a hostEnv with a letter missing": [
    asked("[{targetHost: 10.0.0.7, targetPort: 1433, hostEnv: WAREHOUSE_SERVR}]", [
      { name: "WAREHOUSE_SERVER", value: "10.0.0.7" },
    ]),
    0,
    /no container has the env WAREHOUSE_SERVR, and WAREHOUSE_SERVER holds 10.0.0.7: did you mean it\?/,
  ],
  "another port than the env's": [
    asked("mssql=10.0.0.5:14333", [{ name: "MSSQL_HOST", value: "10.0.0.5:1433" }]),
    0,
    /MSSQL_HOST is 10.0.0.5 with port 1433, the annotation says 14333/,
  ],
  "no port": [asked("mssql=10.0.0.5"), 1, /"mssql=10.0.0.5" has no port: write name=host:port/],
  semicolons: [asked("a=10.0.0.5:1433; b=10.0.0.6:5432"), 1, /separate targets by commas/],
  "nothing at all": [asked(""), 1, /names no target: write name=host:port/],
  "a URL": [asked("mssql://10.0.0.5:1433/db"), 1, /\(hidden\) is a URL: write name=host:port/],
  "host and port for targetHost and targetPort": [
    asked("[{host: 10.0.0.5, port: 1433}]"),
    1,
    /unknown key "host"; did you mean targetHost\?; unknown key "port"; did you mean targetPort\?/,
  ],
  "a map for a list": [asked("targetHost: 10.0.0.5\ntargetPort: 1433"), 1, /begin each entry of a list with `- `/],
  "a map in braces for a list": [
    asked("{targetHost: 10.0.0.5, targetPort: 1433}"),
    1,
    /not a list of targets: begin each entry with `- `, or put all in \[ \]/,
  ],
  "a name that takes the API server's env": [
    asked("kubernetes-service=10.0.0.5:1433"),
    1,
    /KUBERNETES_SERVICE_HOST: by this env a pod finds the API server: take another name/,
  ],
  "a target outside what the tunnel may reach": [
    asked("far=192.168.77.5:1433"),
    1,
    /192.168.77.5:1433 through \w+ \(allowed to namespace team-a: .*ask the admin to add it to allowedTargets/,
  ],
};

const said = async (t: Test, written: Written) => {
  let text = "";
  const print = (more: string) => void (text += more);
  const code = await audit({ ...files(t, deployment(written)), output: "table" }, { out: print, err: print });
  return { code, text };
};

for (const [name, [written, expected, says]] of Object.entries(FRICTIONS)) {
  t.test(`friction: ${name}`, async (t) => {
    const { code, text } = await said(t, written);
    t.equal(code, expected);
    t.match(text, says);
  });
}

t.test("the fault of one env stands before the warnings about the pod", async (t) => {
  const wrong = "MSSQL_HOST is 10.0.0.5 with port 1433, the annotation says 14333";
  const { text } = await said(t, asked("mssql=10.0.0.5:14333", [{ name: "MSSQL_HOST", value: "10.0.0.5:1433" }]));
  const warnings = text.split("\n").filter((line) => line.includes("warning: "));
  t.match(warnings, [wrong, "MSSQL_HOST has another value and is left alone"]);
  const other = await said(t, asked("mssql=10.0.0.5:14333", [{ name: "DB", value: "Server=10.0.0.5,1433" }]));
  const [first, second] = other.text.split("\n").filter((line) => line.includes("warning: "));
  t.match(first, "DB is 10.0.0.5 with port 1433, the annotation says 14333");
  t.match(second, "no env was rewritten for it");
});

t.test("a list of which an entry lost its dash, or its keys their indent", async (t) => {
  const lost = "- name: a\n  targetHost: 10.0.0.5\n  targetPort: 1\nname: b\ntargetHost: 10.0.0.6\n";
  const shallow = "- name: a\ntargetHost: 10.0.0.5\ntargetPort: 1\n";
  for (const text of [lost, shallow])
    t.match(await said(t, asked(text)), {
      code: 1,
      text: /begin each entry of a list with `- `, and indent its keys alike/,
    });
  t.match(await said(t, asked("- name: [\n")), { code: 1, text: /not YAML or JSON/ });
});

t.test("a workload without a mistake gets no hint", async (t) => {
  const { code, text } = await said(t, asked(GOOD, [{ name: "MSSQL_HOST", value: "10.0.0.5" }]));
  t.equal(code, 0);
  t.notMatch(text, /did you mean|is not read|warning/);
});

t.test("without a cluster, a message says that the table is empty", async (t) => {
  const { text } = await said(t, asked(GOOD));
  t.match(text, /the answers are those of an empty forward table; --cluster kubeconfig reads the live one/);
});

t.test("certificates in a folder ask for the webhook's namespace", async (t) => {
  let text = "";
  const out = `${t.testdir({})}/certs`;
  const code = await runProgram(["certs", "--out", out], { out: () => {}, err: (more) => void (text += more) });
  t.equal(code, 2);
  t.match(text, /--out: name the webhook's namespace with -n/);
  t.notOk(existsSync(out), "nothing is written");
});

for (const port of [80, 1023, 65534, 65535])
  t.test(`a static forward on port ${port} is refused, with the ports that are free`, (t) => {
    const forward = `{name: db, port: ${port}, targetHost: 10.0.0.5, targetPort: 5432}`;
    const read = readConfig(`gateways: [{tunnels: [{name: wg0, secretName: vpn, portForwards: [${forward}]}]}]`);
    t.match(read, { kind: "invalid", problems: { length: 1 } });
    t.match(JSON.stringify(read), `${port}: the gateway's pod listens on 1024-65533; write such a port`);
    t.end();
  });
