/** What a pod holds besides its env, and what is said of it. */
import t from "tap";
import { redirectEnv } from "../../../src/core/env/redirect.ts";
import { type Pod, readPod } from "../../../src/core/pod.ts";
import { assignmentOf, targetOf } from "../../making.ts";

const assignment = assignmentOf(targetOf("m", "10.0.0.5", 1433));
const podOf = (container: object, spec: object = {}, annotations: object = {}): Pod => {
  const read = readPod({ metadata: { annotations }, spec: { containers: [{ name: "c", ...container }], ...spec } });
  if (read.kind === "invalid") throw read.error;
  return read.pod;
};
const unreadOf = (pod: Pod): readonly string[] => {
  const result = redirectEnv(pod, [assignment]);
  if (result.kind === "reject") throw new Error(result.message);
  return result.unread;
};

t.test("arguments, commands, probes, hooks and hostAliases are named", (t) => {
  const pod = podOf(
    {
      env: [{ name: "DB", value: "10.0.0.5:1433" }],
      command: ["sh", "-c", "nc 10.0.0.5 1433"],
      args: ["--db=10.0.0.5", "--other=10.0.0.50", 7],
      livenessProbe: { tcpSocket: { host: "10.0.0.5", port: 1433 } },
      readinessProbe: { httpGet: { host: "10.0.0.5", path: "/x.html", port: 80 } },
      startupProbe: { exec: { command: ["pg_isready", "-h", "10.0.0.5"] } },
      lifecycle: { postStart: { exec: {} }, preStop: { httpGet: { path: "/stop?at=10.0.0.5" } } },
    },
    { hostAliases: [{ ip: "10.0.0.5", hostnames: ["ERP-db"] }, { ip: "10.0.0.9" }] },
  );
  const places = ["args[0]", "command[2]", "livenessProbe", "preStop", "readinessProbe", "startupProbe"];
  t.strictSame(unreadOf(pod), [...places.map((place) => `c: ${place}`), "hostAliases[0]"]);
  t.end();
});

t.test("a name that the pod's hostAliases give to a target is the target; an env that is kept stays", (t) => {
  const env = [
    { name: "A", value: "Server=erp-db,1433;Database=x" },
    { name: "B", value: "10.0.0.5:1433" },
  ];
  const hostAliases = [{ ip: "10.0.0.5", hostnames: ["erp-db"] }, { ip: "10.0.0.5" }];
  const pod = podOf({ env }, { hostAliases }, { "flowgen.io/keep-env": "B, C" });
  const result = redirectEnv(pod, [assignment]);
  t.match(result, {
    operations: [{ value: "Server=gw.ns.svc,1433;Database=x" }],
    unread: ["hostAliases[0]", "hostAliases[1]"],
  });
  t.end();
});

t.test("a name of one label is a host where a client reads one, and a word in any other text", (t) => {
  const env = [
    { name: "H", value: "erp" },
    { name: "A", value: "ask $(H) for it" },
    { name: "B", value: "erp and others" },
  ];
  const pod = podOf({ env }, { hostAliases: [{ ip: "10.0.0.5", hostnames: ["erp"] }] });
  const result = redirectEnv(pod, [assignment]);
  t.match(result, { changed: [{ env: "H" }], operations: { length: 1 }, unread: ["c/A", "hostAliases[0]"] });
  t.end();
});

t.test("a value whose references make it too long is named", (t) => {
  const env = [
    { name: "BIG", value: "x".repeat(9000) },
    { name: "URL", value: "10.0.0.5:1433/$(BIG)$(BIG)" },
  ];
  t.strictSame(unreadOf(podOf({ env })), ["c/URL"]);
  t.end();
});

t.test("what is not as it should be is left to the API server", (t) => {
  t.strictSame(unreadOf(podOf({ args: "10.0.0.5", livenessProbe: 7, lifecycle: [] }, { hostAliases: "x" })), []);
  t.end();
});

t.test("a port at which hostAliases lead the name is right, though the env redirect does not have it", (t) => {
  const name = "a.corp.example.com";
  const byEnv = assignmentOf(targetOf("sql", name, 1433));
  const byName = assignmentOf(targetOf("web", name, 443), { redirect: "hostAlias", names: [name] });
  const env = [
    { name: "DB", value: `${name}:1433` },
    { name: "WEB", value: `https://${name}/x` },
    { name: "OTHER", value: `${name}:8080` },
  ];
  const result = redirectEnv(podOf({ env }), [byEnv, byName]);
  t.match(result, {
    changed: [{ env: "DB" }],
    unread: ["c/OTHER"],
    warnings: [`OTHER is ${name} with port 8080, the annotation says 1433, 443`],
  });
  t.equal(result.kind === "redirect" && result.warnings.length, 1);
  t.end();
});

t.test("whose client checks a certificate is told the alias that the target has", (t) => {
  const aliases = ["erp.corp.example.com"];
  const byEnv = assignmentOf(targetOf("erp", "10.0.0.5", 443, { aliases }), { names: aliases });
  const warningsOf = (env: readonly object[]) => redirectEnv(podOf({ env }), [byEnv]);
  t.match(warningsOf([{ name: "URL", value: "https://10.0.0.5/x" }]), {
    warnings: [/^URL: its client checks the certificate .*; write its alias there: erp\.corp\.example\.com$/],
  });
  t.match(warningsOf([]), {
    warnings: [/^erp: no env leads to it/, /^erp: https checks .*; write its alias there: erp\.corp\.example\.com$/],
  });
  t.end();
});
