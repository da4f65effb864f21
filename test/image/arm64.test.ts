/** The image for arm64, its programs run by an emulator of that processor. */
import { closeSync, existsSync, lstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { OWN } from "../lab/image/architecture.ts";
import { imageAt } from "../lab/image/run.ts";
import { root } from "../program.ts";

/** Made by `npm run test:image` before. */
const rootfs = join(root, ".cache/image-arm64");
const EMULATOR = "/usr/bin/qemu-aarch64-static";
/** The field `e_machine` of an ELF file's head: EM_AARCH64 (elf(5)). */
const AARCH64 = 183;

/** The processor that a program or library is for; undefined: the file is neither. */
const machineOf = (path: string): number | undefined => {
  if (!lstatSync(path).isFile()) return undefined;
  const head = Buffer.alloc(20);
  const file = openSync(path, "r");
  readSync(file, head);
  closeSync(file);
  return head.toString("latin1", 0, 4) === "\u007fELF" ? head.readUInt16LE(18) : undefined;
};

t.test("every program and library in it is of that processor", async (t) => {
  const files = readdirSync(rootfs, { recursive: true, encoding: "utf8" });
  const machines = files.flatMap((file) => machineOf(join(rootfs, file)) ?? []);
  t.ok(machines.length > 20, `${machines.length} programs and libraries`);
  t.strictSame([...new Set(machines)], [AARCH64]);
});

const emulator = OWN === "arm64" ? undefined : EMULATOR;
const isRun = emulator === undefined || existsSync(emulator);
const run = imageAt(rootfs, emulator);
const skip = isRun ? false : `no ${EMULATOR}: test/lab/image/install.sh installs it`;

t.test("a command on manifests: docker run --rm -i IMAGE audit -f -", { skip }, async (t) => {
  const manifests = readFileSync(join(root, "examples/flowgen-cronjob.yaml"), "utf8");
  const told = run(["audit", "-f", "-", "--config", "/app/examples/webhook-config.yaml"], {}, manifests);
  t.match(told, /CronJob team-a\/flowgen-nightly +inject/);
});

t.test("the whole story, from the image", { skip }, async (t) => {
  t.match(run(["demo"]), "All as it should be");
});
