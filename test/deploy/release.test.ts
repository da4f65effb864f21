// The files of a release in use, from a clean folder, without a registry.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import t from "tap";
import { version } from "../../src/files.ts";
import { findHelm } from "../lab/control-plane/helm.ts";
import { findPrograms } from "../lab/control-plane/programs.ts";
import { plainEnv, root, unhooked } from "../program.ts";

const folder = t.testdir({ home: {}, clean: {}, charts: {} });
const [out, home, clean] = [join(folder, "out"), join(folder, "home"), join(folder, "clean")];
const programs = await findPrograms(["helm", "kube-apiserver"]);
const PATH = `${programs}:${process.env["PATH"] ?? ""}`;
const env = { ...plainEnv(), PATH, HOME: home, npm_config_offline: "true", npm_config_update_notifier: "false" };

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };
/** Runs a command in the clean folder. */
const run = async (command: string, args: readonly string[], input = "", path = PATH): Promise<Ended> => {
  const [program, all] = unhooked(command, ...args);
  const child = spawn(program, all, { cwd: clean, env: { ...env, PATH: path } });
  child.stdin.end(input);
  const ended = once(child, "close") as Promise<[number | null]>;
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
};

execFileSync(process.execPath, [join(root, "release.ts"), out], { env, stdio: ["ignore", "ignore", "inherit"] });
const tarball = join(out, `flowgen-gateway-${version}.tgz`);
const config = ["--config", join(root, "examples/webhook-config.yaml")];
const cronJob = readFileSync(join(root, "examples/flowgen-cronjob.yaml"), "utf8");

t.test("the npm package holds the program, its examples and licences, and no other", async (t) => {
  const files = (await run("tar", ["-tzf", tarball])).stdout.trim().split("\n");
  for (const name of [
    "dist/main.js",
    "dist/function.js",
    "dist/gateway/tunnel.sh",
    "dist/sbom.cdx.json",
    "LICENSE",
    "README.md",
  ])
    t.ok(files.includes(`package/${name}`), name);
  t.ok(files.includes("package/dist/third-party-licences.txt"));
  t.strictSame(
    files.filter(
      (name) =>
        !/^package\/(package\.json|README\.md|LICENSE|dist\/[^/]+\.(c?js|json|txt)|dist\/gateway\/[^/]+\.sh|examples\/.+)$/.test(
          name,
        ),
    ),
    [],
  );
});

t.test("npx: one line, from a clean folder", async (t) => {
  const audit = ["audit", "-f", "-", ...config];
  const { code, stdout, stderr } = await run(
    "npx",
    ["--yes", "--package", tarball, "flowgen-gateway", ...audit],
    cronJob,
  );
  t.equal(code, 0, stderr);
  t.match(stdout, /CronJob team-a\/flowgen-nightly +inject/);
});

t.test("installed: the command, the demo, and kubectl's plugin by its name", async (t) => {
  const { code, stderr } = await run("npm", ["install", "--no-audit", "--no-fund", "--prefix", clean, tarball]);
  t.equal(code, 0, stderr);
  t.notOk(existsSync(join(clean, "node_modules/zod")), "it brings no other package");
  const bin = join(clean, "node_modules/.bin");
  t.match((await run(join(bin, "flowgen-gateway"), ["demo"])).stdout, "All as it should be");
  const plugin = await run("kubectl", ["flowgen-gateway", "audit", "-f", "-", ...config], cronJob, `${bin}:${PATH}`);
  t.match(plugin, { code: 0, stdout: /flowgen-nightly/ });
});

t.test("helm's output in a pipe, and inject as helm's post-renderer: workloads alone", async (t) => {
  const helm = await findHelm(home);
  const inject = ["inject", "-f", "-", ...config, "-n", "team-a"];
  const bin = join(clean, "node_modules/.bin/flowgen-gateway");
  const chart = join(folder, "charts");
  mkdirSync(join(chart, "templates"));
  writeFileSync(join(chart, "Chart.yaml"), "apiVersion: v2\nname: flows\nversion: 0.1.0\n");
  writeFileSync(join(chart, "templates/flow.yaml"), cronJob);
  const plain = await helm(["template", "flows", chart, "-n", "team-a"]);
  const piped = await run(bin, inject, plain.stdout);
  t.match(piped, { code: 0, stdout: /flowgen\.io\/gateway-status/ });

  const renderer = join(folder, "post-renderer");
  writeFileSync(
    renderer,
    `#!/bin/sh\nexec "${process.execPath}" "${bin}" ${inject.map((each) => `'${each}'`).join(" ")}\n`,
  );
  chmodSync(renderer, 0o755);
  const rendered = await helm(["template", "flows", chart, "-n", "team-a", "--post-renderer", renderer]);
  t.equal(rendered.code, 0, rendered.stderr);
  const kinds = (stream: string) => [...stream.matchAll(/^kind: (\w+)$/gm)].map(([, kind]) => kind);
  t.strictSame(kinds(rendered.stdout), ["CronJob"], "none of the gateway's objects");
  t.match(rendered.stdout, /WAREHOUSE_SERVER, value: flowgen-wireguard-gateway\.flowgen-gateway\.svc/);
});

t.test("the chart, packaged, makes the same objects as the folder", async (t) => {
  const helm = await findHelm(home);
  const template = async (chart: string): Promise<string> => {
    const { code, stdout, stderr } = await helm(["template", "r", chart, "--values", "examples/webhook-values.yaml"]);
    t.equal(code, 0, stderr);
    return stdout;
  };
  const packaged = join(out, `flowgen-gateway-webhook-${version}.tgz`);
  t.equal(await template(packaged), await template("deploy/helm/flowgen-gateway-webhook"));
});

t.test("SHA256SUMS, and the same bytes again", async (t) => {
  const check = (): string => execFileSync("sha256sum", ["--check", "SHA256SUMS"], { cwd: out, encoding: "utf8" });
  t.strictSame(check().trim().split("\n"), [
    `flowgen-gateway-${version}.tgz: OK`,
    `flowgen-gateway-webhook-${version}.tgz: OK`,
    "sbom.cdx.json: OK",
  ]);
  const again = join(folder, "again");
  mkdirSync(again);
  execFileSync(process.execPath, [join(root, "release.ts"), again], { env, stdio: ["ignore", "ignore", "inherit"] });
  for (const name of [`flowgen-gateway-${version}.tgz`, "sbom.cdx.json"])
    t.ok(readFileSync(join(again, name)).equals(readFileSync(join(out, name))), name);
});
