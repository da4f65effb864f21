// The exports that docs/vpn-exports.md says work, each as a tunnel of one gateway: wg and ip take what is made of them.
import t from "tap";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { startGateway } from "../lab/vpn/gateway.ts";
import { run } from "../lab/vpn/hosts.ts";
import { startNetwork } from "../lab/vpn/network.ts";
import { keyPair } from "../lab/vpn/vpn.ts";
import { until } from "../wait.ts";

const folder = join(import.meta.dirname, "../fixtures/vpn-exports");
const refused = new Set(["amnezia", "encoded-twice", "powershell"]);
const exports = readdirSync(folder)
  .map((file) => file.replace(".conf", ""))
  .filter((name) => !refused.has(name));

void t.test("exports", async (t) => {
  const network = await startNetwork(t);
  const gateway = startGateway(t, network, { tunnels: exports });
  for (const name of exports) {
    const text = readFileSync(join(folder, `${name}.conf`), "utf8");
    gateway.setSecret(
      name,
      text.replaceAll(/A{43}=/g, () => keyPair().publicKey),
    );
  }
  gateway.start("tunnel");
  for (const name of exports) {
    await until(
      `${name} is configured`,
      async () => (await gateway.log()).includes(`tunnel ${name}: configured`),
      30_000,
    );
    const keepalives = (): number[] =>
      run(network.pod, `wg show ${name} persistent-keepalive | cut -f 2`).trim().split("\n").map(Number);
    // (A peer whose endpoint's name has just been found has none for a moment.)
    const isKept = (): boolean => keepalives().every((seconds) => seconds >= 1 && seconds <= 120);
    await t.resolves(until(`${name}: a keepalive`, isKept), `${name}: a keepalive of 1 to 120 s`);
  }
  t.equal(exports.length, 9);
  t.notMatch(await gateway.log(), "not up");
});
