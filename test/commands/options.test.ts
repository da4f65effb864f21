import t from "tap";
import { connectCluster, readConfigFile } from "../../src/commands/options/options.ts";

t.test("a cluster in memory is made at each call", async (t) => {
  const cluster = await connectCluster("memory");
  const { signal } = new AbortController();
  t.equal(await cluster.get({ kind: "ConfigMap", namespace: "ns", name: "none" }, signal), undefined);
});

t.test("a config that is not UTF-8, or not there", async (t) => {
  const folder = t.testdir({ "config.yaml": Buffer.from([0x61, 0x3a, 0x20, 0xff]) });
  await t.rejects(readConfigFile(`${folder}/config.yaml`), { message: /it is not UTF-8; convert it/ });
  await t.rejects(readConfigFile(`${folder}/none.yaml`), { message: /there is no such file/ });
  await t.rejects(readConfigFile(`${folder}/config.yaml/none`), { message: /ENOTDIR/ });
});
