/** A target's host in arguments, commands, probes, hooks and hostAliases, and the warnings about it. */
import t from "tap";
import { redirectEnv } from "../../../src/core/env/redirect.ts";
import { type Pod, readPod } from "../../../src/core/pod.ts";
import type { Assignment } from "../../../src/core/target.ts";
import { assignmentOf, patched, targetOf } from "../../making.ts";

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

t.test("arguments with references: what env bring follows them, but for a URL that asks for SRV records", (t) => {
  const names = (args: readonly string[], env: Readonly<Record<string, string>>): readonly string[] => {
    const mongo = assignmentOf(targetOf("mongo", "db.corp.example.com", 27017));
    const list = Object.entries(env).map(([name, value]) => ({ name, value }));
    const pod = podOf({ args, env: list });
    const result = redirectEnv(pod, [assignment, mongo]);
    if (result.kind === "reject") throw new Error(result.message);
    const again = redirectEnv(patched(pod, result.operations), [assignment, mongo]);
    t.match(again, { operations: { length: 0 }, unread: result.unread }, "a second run");
    return result.warnings.filter((warning) => warning.startsWith("c: "));
  };
  const srv = /^c: args\[0\]: holds .* in a URL that asks for SRV records: write its servers$/;
  const H = "db.corp.example.com";
  t.match(names(["mongodb+srv://u:p@$(H)/x"], { H }), [srv]);
  t.match(names(["mongodb+srv://$(USER)@$(REF)/x"], { H, REF: "$(H)", USER: "u" }), [srv]);
  t.match(names([`mongodb+srv://${H}/x`], { H }), [srv]);
  t.strictSame(names(["mongodb://$(H):27017/x", "$(H)", "$(NONE).corp"], { H }), []);
  t.strictSame(names(["$$(H)", "mongodb+srv://$(H)"], { H: "other.example.com" }), []);
  t.match(names(["$(NET)5:1433"], { NET: "10.0.0.", H }), ["c: args[0] holds 10.0.0.5: left alone"]);
  t.match(names(["$(A)$(B)"], { A: "10.0", B: ".0.5", H }), ["c: args[0] holds 10.0.0.5: left alone"]);
  const bare = podOf({ args: ["$(A)10.0.0.5"] });
  t.match(redirectEnv(bare, [assignment]), { unread: ["c: args[0]"] }, "a container without env");
  const unseen = { name: "A", valueFrom: { secretKeyRef: { name: "s", key: "k" } } };
  const before = { name: "A", value: "10.0" };
  const replaced = podOf({ args: ["$(A).0.5"], env: [before, unseen] });
  t.match(redirectEnv(replaced, [assignment]), { unread: { length: 0 } }, "the last of a name counts");
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

t.test("fields of a wrong type are left to the API server", (t) => {
  t.strictSame(unreadOf(podOf({ args: "10.0.0.5", livenessProbe: 7, lifecycle: [] }, { hostAliases: "x" })), []);
  t.end();
});

t.test("a port at which hostAliases map the name is right, though the env redirect does not have it", (t) => {
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

t.test("where a client checks a certificate, the warning names the target's alias", (t) => {
  const aliases = ["erp.corp.example.com"];
  const byEnv = assignmentOf(targetOf("erp", "10.0.0.5", 443, { aliases }), { names: aliases });
  const warningsOf = (env: readonly object[]) => redirectEnv(podOf({ env }), [byEnv]);
  t.match(warningsOf([{ name: "URL", value: "https://10.0.0.5/x" }]), {
    warnings: [/^URL: its client checks the certificate .*; write its alias there: erp\.corp\.example\.com$/],
  });
  t.match(warningsOf([]), {
    warnings: [
      /^erp: no env was rewritten for it/,
      /^erp: https checks .*; write its alias there: erp\.corp\.example\.com$/,
    ],
  });
  t.end();
});

t.test("an argument whose client checks a certificate for a host that an env brings", (t) => {
  const warningsOf = (env: Readonly<Record<string, string>>, args: readonly string[]): readonly string[] => {
    const list = Object.entries(env).map(([name, value]) => ({ name, value }));
    const result = redirectEnv(podOf({ env: list, args }), [assignmentOf(targetOf("web", "10.0.0.5", 443))]);
    if (result.kind === "reject") throw new Error(result.message);
    t.strictSame(
      result.unread.filter((name) => name.startsWith("c: ")),
      [],
      "the argument follows its env",
    );
    return result.warnings.filter((warning) => warning.startsWith("c: "));
  };
  t.strictSame(warningsOf({ H: "10.0.0.5" }, ["--url=https://$(H)/x", "$(H)", "http://$(H):443", "https://other.io"]), [
    "c: args[0]: its client checks the certificate for the name that it dials; list the server's own name in aliases",
  ]);
  t.strictSame(warningsOf({ H: "10.0.0.5:8443" }, ["https://$(H)/x"]), [], "the env is left alone");
  t.strictSame(warningsOf({ H: "gw.ns.svc" }, ["https://$(H)/x"]), [], "a second admission");
  t.end();
});

t.test("headers of probes, gRPC services and the names of hostAliases are read too", (t) => {
  const pod = podOf({
    livenessProbe: { httpGet: { port: 80, httpHeaders: [{ name: "Host", value: "10.0.0.5" }, 7] } },
    readinessProbe: { grpc: { port: 1, service: "10.0.0.5" } },
    startupProbe: { httpGet: { port: 80, httpHeaders: [{ name: "Host", value: "10.0.0.50" }] } },
    lifecycle: { preStop: { httpGet: { port: 80, httpHeaders: "10.0.0.5" } } },
  });
  t.strictSame(unreadOf(pod), ["c: livenessProbe", "c: readinessProbe"]);
  const host = "db.corp.example.com";
  const byName = assignmentOf(targetOf("m", host, 1433));
  const mapped = (more: Partial<Assignment> = {}) =>
    redirectEnv(podOf({}, { hostAliases: [{ ip: "192.168.1.1", hostnames: ["x", "DB.corp.example.com"] }] }), [
      byName,
      assignmentOf(targetOf("web", host, 443), more),
    ]);
  const named = mapped();
  t.match(named, { unread: ["hostAliases[0]"] });
  t.ok(named.kind === "redirect" && named.warnings.includes(`hostAliases[0] holds ${host}: left alone`));
  t.match(mapped({ redirect: "hostAlias", names: [host] }), { unread: { length: 0 } }, "an entry of the webhook's own");
  t.end();
});

t.test("a sentence's dot ends an address", (t) => {
  const pod = podOf({
    env: [{ name: "A", value: "The server is 10.0.0.5." }],
    args: ["see 10.0.0.5.", "10.0.0.5.nip.io", "10.0.0.5.."],
  });
  const result = redirectEnv(pod, [assignment]);
  t.match(result, { operations: [{ value: "The server is gw.ns.svc." }], unread: ["c/A", "c: args[0]"] });
  t.end();
});
