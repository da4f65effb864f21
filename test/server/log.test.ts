import { spawnSync } from "node:child_process";
import { setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import t from "tap";
import { perTurn } from "../../src/server/log.ts";
import { unhooked } from "../program.ts";

t.test("lines of one turn are one write, in their order; a fatal line is written at once", async (t) => {
  const writes: string[] = [];
  const log = pino({ base: null, timestamp: false }, perTurn({ write: (text) => void writes.push(text) }));
  log.info("one");
  log.info("two");
  t.strictSame(writes, []);
  await turn();
  t.strictSame(writes, ['{"level":30,"msg":"one"}\n{"level":30,"msg":"two"}\n']);
  log.info("three");
  log.fatal("four");
  t.equal(writes.length, 2);
  await turn();
  t.equal(writes.length, 2, "nothing is written twice");
});

t.test("a process that exits in the middle of a turn loses no line, and goes on after a broken pipe", async (t) => {
  const script = 'import { createLog } from "./src/server/log.ts"; createLog("info").info("last words");';
  const node = (more: string) => spawnSync(...unhooked(process.execPath, "--input-type=module", "-e", script + more));
  const exit = node("process.exit(3)");
  t.equal(exit.status, 3);
  t.match(JSON.parse(String(exit.stdout)), { level: "info", msg: "last words" });
  const thrown = node('throw new Error("bug")');
  t.equal(thrown.status, 1);
  t.match(String(thrown.stdout), /last words/);
  const pipe = 'setTimeout(() => { console.error("alive"); }, 100);';
  const shell = `${process.execPath} --input-type=module -e '${script}${pipe}' | true`;
  t.match(String(spawnSync(...unhooked("sh", "-c", shell)).stderr), /alive/);
});
