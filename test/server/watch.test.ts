import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Contents, readFiles, type Watch, watchFiles } from "../../src/server/watch.ts";
import { mount } from "./client.ts";

/** A watch that looks at a call. */
const setup = async (t: Test, take: (contents: Contents) => void = () => undefined) => {
  const folder = t.testdir();
  mount(folder, { a: "a1", b: "b1" });
  const paths = [join(folder, "a"), join(folder, "b")];
  const taken: Contents[] = [];
  const errors: string[] = [];
  const onChange = (contents: Contents): void => {
    taken.push(contents);
    take(contents);
  };
  const watch = watchFiles(paths, await readFiles(paths), 3_600_000, onChange, (error) => errors.push(String(error)));
  t.teardown(() => watch.stop());
  return { folder, paths, taken, errors, watch };
};

t.test("a swap of the kubelet's link is one change, seen once", async (t) => {
  const { folder, taken, errors, watch } = await setup(t);
  await watch.check();
  t.strictSame(taken, []);
  mount(folder, { a: "a2", b: "b2" });
  await Promise.all([watch.check(), watch.check()]);
  await watch.check();
  t.strictSame([taken, errors], [[["a2", "b2"]], []]);
});

t.test("a refused version is logged once, and the next one is used", async (t) => {
  const { folder, taken, errors, watch } = await setup(t, ([a]) => {
    if (a === "bad") throw new Error("refused");
  });
  mount(folder, { a: "bad", b: "b2" });
  await watch.check();
  await watch.check();
  t.strictSame(errors, ["Error: refused"]);
  mount(folder, { a: "bad", b: "b3" });
  await watch.check();
  t.equal(errors.length, 2, "another bad version is another refusal");
  mount(folder, { a: "good", b: "b4" });
  await watch.check();
  t.strictSame([taken.at(-1), errors.length], [["good", "b4"], 2]);
});

t.test("files that cannot be read: logged once; the same content is no change when they are back", async (t) => {
  const { folder, paths, taken, errors, watch } = await setup(t);
  rmSync(join(folder, "..data"));
  await watch.check();
  await watch.check();
  t.equal(errors.length, 1);
  t.match(errors[0], /cannot read .*\/a: ENOENT: no such file or directory$/);
  mount(folder, { a: "a1", b: "b1" });
  await watch.check();
  t.strictSame(taken, []);
  rmSync(join(folder, "..data"));
  await watch.check();
  t.equal(errors.length, 2);
  await t.rejects(readFiles(paths), { message: /cannot read .*: ENOENT/ });
});

t.test("files from two versions never meet", async (t) => {
  const folder = t.testdir();
  const paths = [join(folder, "a"), join(folder, "b")];
  let version = 0;
  const swap = (): void => {
    version += 1;
    mount(folder, { a: String(version), b: String(version) });
  };
  swap();
  for (let reading = 0; reading < 50; reading += 1) {
    const contents = readFiles(paths);
    setImmediate(swap);
    const [a, b] = await contents;
    t.equal(a, b);
  }
});

t.test("looks by itself, at the interval", async (t) => {
  const folder = t.testdir({ a: "1" });
  const path = join(folder, "a");
  let watch: Watch | undefined;
  const alive = setInterval(() => undefined, 1000); // the watch itself keeps no process running
  const contents = await new Promise<Contents>((resolve) => {
    watch = watchFiles([path], ["1"], 5, resolve, () => undefined);
    writeFileSync(path, "2");
  });
  watch?.stop();
  clearInterval(alive);
  t.strictSame(contents, ["2"]);
});
