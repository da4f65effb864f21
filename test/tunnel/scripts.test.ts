// The scripts without a network: their form, and the normaliser's output for a Secret.
import t from "tap";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { checkRequirements } from "../lab/vpn/requirements.ts";
import { shellNamed } from "../lab/vpn/shells.ts";
import { keyPair } from "../lab/vpn/vpn.ts";

checkRequirements();
const directory = resolve(import.meta.dirname, "../../src/gateway");
const scripts = readdirSync(directory).filter((name) => name.endsWith(".sh"));
const { privateKey, publicKey } = keyPair();
const secret = (lines: string): string => lines.replaceAll("PRIVATE", privateKey).replaceAll("PUBLIC", publicKey);

type Result = { status: number | null; stdout: string; stderr: string };
const folder = mkdtempSync(join(tmpdir(), "flowgen-shells-"));
t.teardown(() => rmSync(folder, { recursive: true }));
chmodSync(folder, 0o755); // for a shell that is nobody's
const shells = { busybox: shellNamed("busybox", join(folder, "bin")).argv, dash: ["dash"] };
const runScript = ([shell = "", ...args]: readonly string[], script: string, input: string): Result =>
  spawnSync(shell, [...args, join(directory, script)], { input, encoding: "utf8" });

void t.test("form", (t) => {
  for (const name of scripts) {
    const path = join(directory, name);
    t.equal(
      spawnSync("shellcheck", ["--shell=sh", "--external-sources", path], { encoding: "utf8" }).stdout,
      "",
      `${name}: shellcheck`,
    );
    t.equal(spawnSync("dash", ["-n", path]).status, 0, `${name}: dash`);
    t.equal(spawnSync(join(folder, "bin/sh"), ["-n", path]).status, 0, `${name}: busybox`);
  }
  t.end();
});

const wanted = secret(`[Interface]
PrivateKey = PRIVATE
#address = 10.13.13.2/24, fd13::2/64
#dns = 1.1.1.1, corp.example.com
[Peer]
PublicKey = PUBLIC
PresharedKey = PUBLIC
Endpoint = [2001:db8::1]:51820
AllowedIPs = 10.0.0.0/8, fd00::/8
PersistentKeepalive = 25
`);

const spellings: Record<string, string> = {
  colons:
    "[Interface]\nPrivateKey: PRIVATE\nAddress: 10.13.13.2/24, fd13::2/64\nDNS: 1.1.1.1, corp.example.com\n\n[Peer]\nPublicKey: PUBLIC\nPresharedKey: PUBLIC\nEndpoint: [2001:db8::1]:51820\nAllowedIPs: 10.0.0.0/8, fd00::/8\nPersistentKeepalive: 25\n",
  "equals, odd case, blanks, comments":
    "# mine\n [interface] \nprivatekey=PRIVATE # secret\n\tADDRESS =10.13.13.2/24, fd13::2/64\ndns= 1.1.1.1, corp.example.com\n[PEER]\npublickey =PUBLIC\npresharedkey=PUBLIC\nendpoint=[2001:db8::1]:51820\nallowedips=10.0.0.0/8, fd00::/8\npersistentkeepalive=25",
  "what only wg-quick knows":
    "[Interface]\nPrivateKey: PRIVATE\nTable: auto\nPostUp: touch /tmp/owned; ip route del default\nSaveConfig = true\nAddress: 10.13.13.2/24, fd13::2/64\nDNS: 1.1.1.1, corp.example.com\n[Peer]\nPublicKey: PUBLIC\nPresharedKey: PUBLIC\nEndpoint: [2001:db8::1]:51820\nAllowedIPs: 10.0.0.0/8, fd00::/8\nPersistentKeepalive: off\n",
};

void t.test("normaliser", (t) => {
  for (const [shell, argv] of Object.entries(shells)) {
    for (const [name, text] of Object.entries(spellings)) {
      const plain = runScript(argv, "normalise.sh", secret(text));
      t.equal(plain.stdout, wanted, `${shell}: ${name}`);
      const windows = runScript(argv, "normalise.sh", `\uFEFF${secret(text).replaceAll("\n", "\r\n")}`);
      t.equal(windows.stdout, wanted, `${shell}: ${name}, with BOM and CRLF`);
    }
    const short = runScript(
      argv,
      "normalise.sh",
      secret("[Interface]\nPrivateKey: PRIVATE=\nPRIVATE\nPrivateKy: PRIVATE\n"),
    );
    t.equal(short.status, 1, `${shell}: a Secret that is not usable`);
    t.equal(short.stdout, "");
    for (const reason of [
      "line 2: PrivateKey is not a WireGuard key",
      "line 3: not a section",
      "line 4: unknown key",
      "no PrivateKey",
      "no [Peer]",
    ]) {
      t.ok(short.stderr.includes(reason), reason);
    }
    t.notOk(short.stderr.includes(privateKey.slice(0, 10)), "no value in the message");
  }
  t.end();
});
