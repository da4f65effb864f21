import t from "tap";
import { readAliased } from "../../../src/core/env/aliased.ts";
import type { Pod } from "../../../src/core/pod.ts";
import type { Want } from "../../../src/core/target.ts";
import { podOf, wantOf } from "../../making.ts";

const NAME = "erp.corp.example.com";
const byAlias = wantOf("erp", "10.0.0.5", 8443, { redirect: "hostAlias", names: [NAME], needsService: true });
const byName = wantOf("sql", "sql.corp.example.com", 1433, { redirect: "hostAlias", names: ["sql.corp.example.com"] });
const read = (
  env: Readonly<Record<string, string>>,
  wants: readonly Want[] = [byAlias],
  more: Partial<Pod["spec"]> = {},
) => {
  const pod = podOf(undefined, env);
  return readAliased({ ...pod, spec: { ...pod.spec, ...more } }, wants);
};

t.test("each place that holds an address which only aliases serve is named", async (t) => {
  const text = { at: "args[1]", text: "--url=https://10.0.0.5:8443" };
  const args = {
    initContainers: [{ name: "init", texts: [text] }],
    hostAliases: [{ ip: "10.0.0.5", hostnames: ["x"] }],
  };
  const env = {
    URL: "https://10.0.0.5:8443/x",
    OTHER: "10.0.0.50",
    START: "10.0.0.",
    JOINED: "$(START)5 and $(START)5",
    TRUSTED_PROXIES: "10.0.0.5",
  };
  t.strictSame(read(env, [byAlias], args), {
    kind: "aliased",
    unread: ["flowgen/URL", "flowgen/JOINED", "init: args[1]", "hostAliases[0]"],
    warnings: [
      `URL holds 10.0.0.5: hostAliases map ${NAME} only`,
      `JOINED holds 10.0.0.5: hostAliases map ${NAME} only`,
      `init: args[1] holds 10.0.0.5: hostAliases map ${NAME} only`,
      `hostAliases[0] holds 10.0.0.5: hostAliases map ${NAME} only`,
    ],
  });
});

t.test("an address whose env another target has rewritten is left to that redirect", async (t) => {
  const byEnv = wantOf("web", "10.0.0.5", 443);
  t.match(read({ URL: "10.0.0.5:8443" }, [byAlias, byEnv]), { unread: { length: 0 }, warnings: { length: 0 } });
  const twice = [byAlias, wantOf("web", "10.0.0.5", 443, { redirect: "hostAlias", names: ["web.corp.example.com"] })];
  t.match(read({ URL: "10.0.0.5:443" }, twice), { unread: ["flowgen/URL"] });
});

t.test("a name in hostAliases with a port that no target of its host has is reported", async (t) => {
  t.match(read({ DB_HOST: "sql.corp.example.com", DB_PORT: "1433", URL: `https://${NAME}:8443` }, [byAlias, byName]), {
    unread: { length: 0 },
    warnings: { length: 0 },
  });
  t.match(read({ DB: "sql.corp.example.com:1434" }, [byName]), {
    unread: { length: 0 },
    warnings: ["DB is sql.corp.example.com with port 1434, the annotation says 1433"],
  });
});

t.test("env that an entry names and hostAlias leaves are named", async (t) => {
  const target = { ...byName.target, hostEnv: ["DB"], portEnv: ["DB_PORT"] };
  const wants = [{ ...byName, target }, wantOf("pg", "10.0.0.6", 5432)];
  t.match(read({}, wants), { warnings: ["sql: redirect hostAlias changes no env: DB, DB_PORT stays"] });
});

t.test("a URL that asks for SRV records is refused, by the env redirect's reason", async (t) => {
  const url = "mongodb+srv://u:p@sql.corp.example.com/db";
  t.match(read({ URL: url }, [byName]), { kind: "reject", reason: "srv-url", message: /env\[URL\]/ });
  t.match(read({ URL: url.replace("+srv", "") }, [byName]), { kind: "aliased" });
});

t.test("a URL that asks for SRV records inside another text is named: no Service answers it", async (t) => {
  const url = "mongodb+srv://u:p@sql.corp.example.com/db";
  const args = { containers: [{ name: "c", texts: [{ at: "args[0]", text: `--uri=${url}` }] }] };
  const says = "holds sql.corp.example.com in a URL that asks for SRV records: write its servers";
  t.match(read({}, [byName], args), { unread: { length: 0 }, warnings: [`c: args[0]: ${says}`] });
  t.match(read({ JSON: `{"uri":"${url}"}` }, [byName]), { unread: { length: 0 }, warnings: [`JSON: ${says}`] });
  t.match(read({ JSON: `{"uri":"${url.replace("+srv", "")}"}` }, [byName]), { warnings: { length: 0 } });
});

t.test("nothing is read for targets of the env redirect, and the work is bounded", async (t) => {
  t.strictSame(read({ URL: "10.0.0.5" }, [wantOf("a", "10.0.0.5", 1)]), { kind: "aliased", unread: [], warnings: [] });
  const texts = Array.from({ length: 20_000 }, (_, at) => ({ at: `args[${at}]`, text: "10.0.0.5 ".repeat(20) }));
  t.match(read({}, [byAlias], { containers: [{ name: "c", texts }] }), { reason: "work-too-much" });
  const names = Array.from({ length: 300 }, (_, at) => [`${"N".repeat(300)}${at}`, "10.0.0.5"] as const);
  t.match(read(Object.fromEntries(names)), { reason: "work-too-much" }, "more names than a status holds");
});
