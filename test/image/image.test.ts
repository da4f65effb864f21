/** The image that the Dockerfile makes. */
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { compile, isTaken } from "../../src/scripts.ts";
import { imageAt } from "../lab/image/run.ts";

const repo = new URL("../../", import.meta.url).pathname;
/** Made by `npm run test:image` before. */
const rootfs = join(repo, ".cache/image");

const run = imageAt(rootfs);

t.test("the whole story, from the image", async (t) => {
  t.match(run(["demo"]), "All as it should be");
});

t.test("a command on manifests: docker run --rm -i IMAGE audit -f -", async (t) => {
  const manifests = readFileSync(join(repo, "examples/flowgen-cronjob.yaml"), "utf8");
  const told = run(["audit", "-f", "-", "--config", "/app/examples/webhook-config.yaml"], {}, manifests);
  t.match(told, /CronJob team-a\/flowgen-nightly +inject/);
});

t.test(
  "the caches were filled for this very Node, folder and user: nothing that serves is compiled again",
  async (t) => {
    const told = run(["demo"], { NODE_DEBUG_NATIVE: "COMPILE_CACHE" });
    t.match(told, /cache for .*main\.js was accepted/);
    const caches = readdirSync(join(rootfs, "app/compile-cache"), { recursive: true, withFileTypes: true });
    const scripts = caches.filter(({ name }) => name.includes(".cjs."));
    for (const script of [/^program\.cjs/, /^serve-\w+\.cjs/, /^kubernetes-\w+\.cjs/])
      t.ok(
        scripts.find(({ name }) => script.test(name)),
        String(script),
      );
    const refused = scripts.filter(({ parentPath, name }) => {
      const file = join(rootfs, "app/dist", name.replace(/\.\w+$/, ""));
      return !isTaken(compile(file, readFileSync(join(parentPath, name))));
    });
    t.strictSame(refused, []);
  },
);

t.test("no shell, no package manager, no source, no key", async (t) => {
  const files = readdirSync(rootfs, { recursive: true, encoding: "utf8" });
  const programs = files.filter(
    (file) => /(^|\/)s?bin\//.test(file) && statSync(join(rootfs, file), { throwIfNoEntry: false })?.isFile(),
  );
  const named = programs.filter((file) => /\/(sh|bash|dash|npm|npx|apt|dpkg|perl|python[\d.]*)$/.test(file));
  t.strictSame(named, []);
  t.strictSame(
    files.filter((file) => /^app\/(src|node_modules)|\.(key|ts)$/.test(file)),
    [],
  );
});

/** The fields of each file in a layer's archive, but for its time, which is zero there. */
const contentsOf = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => !file.startsWith("app/compile-cache/"))
      .sort()
      .map((file) => {
        const path = join(folder, file);
        const stat = lstatSync(path);
        const content = stat.isSymbolicLink() ? readlinkSync(path) : stat.isFile() ? readFileSync(path) : "";
        const hash = createHash("sha256").update(content).digest("hex");
        return [file, `${stat.mode.toString(8)} ${stat.uid}:${stat.gid} ${hash}`];
      }),
  );

t.test("built again it is the same, but for the compile cache", async (t) => {
  const [once, again] = [rootfs, `${rootfs}-again`].map(contentsOf);
  t.ok(Object.keys(once ?? {}).length > 1000);
  t.strictSame(again, once);
});
