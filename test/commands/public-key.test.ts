import t from "tap";
import { publicKeyOf } from "../../src/commands/check/public-key.ts";
import { keyPair } from "../lab/vpn/vpn.ts";

t.test("the public key of a private one, as `wg pubkey` gives it", async (t) => {
  const keys = keyPair();
  t.equal(publicKeyOf(keys.privateKey), keys.publicKey);
  t.equal(publicKeyOf("half a key"), undefined);
});
