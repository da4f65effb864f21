import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";
import t, { type Test } from "tap";
import { loadScript } from "../src/scripts.ts";
import { plainEnv, root, unhooked } from "./program.ts";

const build = (t: Test): string =>
  t.testdir({
    "a.cjs": `const { twice } = require("./b.cjs"); const { basename } = require("node:path");\nexports.told = () => basename(__filename) + twice(2);`,
    "b.cjs": `exports.twice = (number) => 2 * number;\nexports.unused = () => "never asked for";`,
    caches: {},
  });

t.test("scripts load scripts beside them and Node's own modules, each once", async (t) => {
  const folder = build(t);
  const { told } = loadScript({ folder, hash: "1" }, "a.cjs", undefined) as { told: () => string };
  t.equal(told(), "a.cjs4");
});

/** The output of another process that asks the script. */
const ask = (folder: string, hash: string, caches = join(folder, "caches")): string => {
  const script = `const { loadScript } = await import(process.argv[1]);
    console.log(loadScript({ folder: process.argv[2], hash: process.argv[3] }, "a.cjs", process.argv[4]).told());`;
  const args = ["--input-type=module", "-e", script, join(root, "src/scripts.ts"), folder, hash, caches];
  const [program, all] = unhooked(process.execPath, ...args);
  const { stdout, stderr } = spawnSync(program, all, { env: plainEnv(), encoding: "utf8" });
  return stdout + stderr;
};

t.test("at its end a process writes what it compiled, and the next one takes it", async (t) => {
  const folder = build(t);
  const caches = join(folder, "caches");
  t.equal(ask(folder, "1"), "a.cjs4\n");
  t.strictSame(readdirSync(caches).sort(), ["a.cjs.1", "b.cjs.1"]);
  const unrun = new Script(`(function(exports){${readFileSync(join(folder, "b.cjs"), "utf8")}\n})`).createCachedData();
  t.ok(statSync(join(caches, "b.cjs.1")).size > unrun.length, "with the functions that ran");
  const before = statSync(join(caches, "b.cjs.1"));
  t.equal(ask(folder, "1"), "a.cjs4\n");
  t.equal(statSync(join(caches, "b.cjs.1")).ino, before.ino, "not written again");
});

t.test("many scripts make no warning", async (t) => {
  const many = Array.from({ length: 20 }, (_, at) => `${at}.cjs`);
  const told = `exports.told = () => ${many.map((name) => `require("./${name}").one`).join(" + ")};`;
  const ones = Object.fromEntries(many.map((name) => [name, "exports.one = 1;"]));
  const folder = t.testdir({ "a.cjs": told, ...ones, caches: {} });
  t.equal(ask(folder, "1"), "20\n");
  t.equal(readdirSync(join(folder, "caches")).length, 21);
});

t.test("a cache is of one build: another of the same length is not mixed up with it", async (t) => {
  const folder = build(t);
  ask(folder, "1");
  writeFileSync(join(folder, "b.cjs"), readFileSync(join(folder, "b.cjs"), "utf8").replace("2 * number", "3 * number"));
  t.equal(ask(folder, "2"), "a.cjs6\n");
});

t.test("a cache that V8 refuses is made again", async (t) => {
  const folder = build(t);
  const cache = join(folder, "caches/b.cjs.1");
  writeFileSync(cache, "no cache");
  t.equal(ask(folder, "1"), "a.cjs4\n");
  t.not(readFileSync(cache, "latin1"), "no cache");
});

t.test("without a folder that can be written, the program works as well", async (t) => {
  const folder = build(t);
  t.equal(ask(folder, "1", join(folder, "none")), "a.cjs4\n");
});
