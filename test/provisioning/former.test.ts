import t from "tap";
import { createMemoryCluster } from "../../src/emulator/memory.ts";
import { FORMER, tellStory } from "../former.ts";

for (const name of FORMER)
  t.test(`an earlier version (${name}) beside this one`, (t) =>
    tellStory(t, { cluster: createMemoryCluster(), namespace: "vpn" }, name),
  );
