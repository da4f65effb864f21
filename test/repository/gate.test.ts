/** `.ci/run` with programs that only say that they were called: all steps, named ones, a wrong name, a failure. */
import { execFile } from "node:child_process";
import { chmodSync, cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { parse } from "yaml";
import { root } from "../program.ts";

const BUILDS = [
  "test/lab/control-plane/build.sh",
  "test/lab/node/rootfs.sh",
  "test/lab/vpn/busybox.sh",
  "bin/npm",
  "bin/id",
  "bin/shellcheck",
];
/** Each says its name and arguments; `npm run FAILS` fails. */
const SAYS =
  '#!/bin/sh\ncase "$0" in */id) echo 1000;; *) echo "${0##*/} $*" >>"$CALLS"; [ "$*" != "run $FAILS" ];; esac\n';

const gate = async (t: Test, steps: readonly string[], fails = "nothing") => {
  const folder = t.testdir({
    ".ci": {},
    bin: { npm: SAYS, id: SAYS, shellcheck: SAYS },
    test: {
      lab: { "control-plane": { "build.sh": SAYS }, node: { "rootfs.sh": SAYS }, vpn: { "busybox.sh": SAYS } },
    },
  });
  for (const each of BUILDS) chmodSync(join(folder, each), 0o755);
  cpSync(join(root, ".ci/run"), join(folder, ".ci/run"));
  const calls = join(folder, "calls");
  const env = {
    ...process.env,
    PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}`,
    CALLS: calls,
    FAILS: fails,
  };
  const { code, err } = await new Promise<{ code: unknown; err: string }>((resolve) => {
    execFile(join(folder, ".ci/run"), steps, { env }, (error, _out, err) => {
      resolve({ code: error === null ? 0 : error.code, err });
    });
  });
  const called = (): readonly string[] => readFileSync(calls, "utf8").trim().split("\n");
  return { code, err, called };
};

const WHOLE = [
  ...["npm ci", "npm run lint", "npm test", "npm test -- test/provisioning/schedules.test.ts"],
  ...["npm test -- test/core/env/oracle.test.ts test/core/env/property.test.ts test/oracle.test.ts"],
  ...["npm run coverage", "npm run test:browser", "npm run test:image", "npm run test:cluster", "npm run test:deploy"],
  ...["npm run test:tunnel", "npm run test:node", "npm run bench", "npm run bench:start"],
];

t.test("without arguments: every step, and the builds beside them", async (t) => {
  const { code, called } = await gate(t, []);
  t.equal(code, 0);
  t.strictSame(
    called().filter((line) => line.startsWith("npm")),
    WHOLE,
  );
  t.strictSame(
    called().filter((line) => /^(build|rootfs|busybox)/.test(line)),
    [
      "build.sh ",
      "build.sh helm promtool kubelet kube-proxy coredns ferretdb nats-server",
      "rootfs.sh ",
      "busybox.sh ",
    ],
  );
});

t.test("named steps alone, in their order; the node's builds are made for it", async (t) => {
  const { code, called } = await gate(t, ["tests", "lint"]);
  t.equal(code, 0);
  t.strictSame(
    called().filter((line) => line.startsWith("npm")),
    ["npm test", "npm run lint"],
  );
  t.match((await gate(t, ["node"])).called(), [
    "build.sh ",
    /^build\.sh helm/,
    "rootfs.sh ",
    "busybox.sh ",
    "npm run test:node",
  ]);
});

t.test("a step that fails ends the run with its code, and a wrong name begins none", async (t) => {
  const failed = await gate(t, [], "test:browser");
  t.equal(failed.code, 1);
  t.equal(
    failed
      .called()
      .filter((line) => line.startsWith("npm"))
      .at(-1),
    "npm run test:browser",
  );
  const wrong = await gate(t, ["lint", "nowhere"]);
  t.equal(wrong.code, 2);
  t.match(wrong.err, /nowhere: no such step; the steps are: install lint tests/);
  t.throws(wrong.called, "nothing was run");
});

t.test("the workflow for outside contributors runs steps of it", async (t) => {
  type Workflow = { readonly jobs: Record<string, { readonly steps: readonly { readonly run?: string }[] }> };
  const { jobs } = parse(readFileSync(join(root, ".github/workflows/checks.yaml"), "utf8")) as Workflow;
  const runs = Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []));
  t.equal(runs.length, 2);
  for (const run of runs) t.match(run, /^\.ci\/run install /);
  for (const step of runs.join(" ").replaceAll(".ci/run", "").trim().split(/\s+/))
    t.ok(readFileSync(join(root, ".ci/run"), "utf8").includes(`step_${step}() {`), step);
});
