import t from "tap";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { createKnown, type Reading } from "../../src/provisioning/known.ts";
import { createProvisioner } from "../../src/provisioning/provisioner.ts";
import { readGateway } from "../../src/provisioning/reading.ts";
import { configOf, gatewayOf, ONE_GATEWAY, scripts, wantOf } from "../making.ts";

const config = configOf(ONE_GATEWAY);
const gateway = gatewayOf(config);
const of = { config, gateway };
const { signal } = new AbortController();
const memory = createMemoryCluster();
const provision = createProvisioner(memory, { scripts });
await provision({ ...of, wants: [wantOf("a", "10.0.0.1", 1433)], write: true, signal: () => signal });
const objects = await readGateway(memory, gateway, signal);
const reading: Reading = { objects, readAt: 0, objectsAt: 0, isBeside: true };
const made = { ...objects, hostServices: [] };

t.test("the objects after a round beside others are known for 5 s, under the same config", async (t) => {
  const known = createKnown();
  known.keep(of, reading, made);
  t.equal(known.since(config, 10, undefined), undefined, "no race was lost: nobody else writes");
  t.ok(known.isBeside(20, true));
  t.equal(known.since(config, 30, undefined)?.objects, made);
  t.equal(known.since({ ...config }, 30, undefined), undefined, "another config");
  t.ok(known.isBeside(4000, true));
  t.equal(known.since(config, 5001, undefined), undefined, "too old");
  known.forget();
  t.equal(known.since(config, 30, undefined), undefined);
  t.equal(known.since(config, 30, reading), reading, "of the race that was lost");
});

t.test("nothing is known after a round that had to make more than the table's objects", async (t) => {
  const known = createKnown();
  known.isBeside(0, true);
  for (const lacking of [{ scripts: undefined }, { service: undefined }, { deployments: [] }]) {
    known.keep(of, { ...reading, objects: { ...objects, ...lacking } }, made);
    t.equal(known.since(config, 1, undefined), undefined);
  }
  known.keep(of, { ...reading, isBeside: false }, made);
  t.equal(known.since(config, 1, undefined), undefined, "and of a round without others");
});
