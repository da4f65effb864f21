import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import t from "tap";
import { expires, watchInputs } from "../../src/commands/serve/watch.ts";
import { createMetrics } from "../../src/server/metrics/metrics.ts";
import type { RunningServer } from "../../src/server/run.ts";
import { authority } from "../cluster-port/authority.ts";

t.test("another CA of the API server's certificate is taken into use; a file without one is refused", async (t) => {
  const [first, second] = [(await authority()).ca, (await authority()).ca];
  const clientCa = join(t.testdir({ "ca.crt": first }), "ca.crt");
  const lines: { readonly msg: string; readonly file: string }[] = [];
  const taken: string[] = [];
  const metrics = createMetrics("0");
  const server = { metrics, setClientCa: (ca: string) => taken.push(ca) } as Partial<RunningServer> as RunningServer;
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]) });
  const options = { config: "", configYaml: "given as text", clientCa, reloadSeconds: 0.02 };
  const watches = watchInputs({ server, log, options, source: { kind: "plain" }, callers: { ca: first } }, "", []);
  t.teardown(() => watches.forEach(({ stop }) => stop()));
  t.equal(watches.length, 1, "there is no other file");
  const logged = async (msg: string): Promise<void> => {
    while (!lines.some((line) => line.msg === msg && line.file === "client-ca")) await sleep(10);
  };
  await writeFile(clientCa, "no certificate");
  await logged("reload refused, the old version stays");
  t.strictSame(taken, []);
  await writeFile(clientCa, second);
  await logged("reloaded");
  t.strictSame(taken, [second]);
  t.match(await metrics.registry.metrics(), /flowgen_gateway_reload_failures_total\{file="client-ca"\} [1-9]/);
});

t.test("without a certificate there is no end of one in the log", async (t) => {
  t.strictSame(expires(undefined), {});
});
