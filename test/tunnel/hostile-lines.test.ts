// A line of the table is data. No text in it runs a command, reaches another server, or stops the other forwards.
import t from "tap";
import { existsSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { variants } from "../lab/vpn/gateway.ts";
import { run } from "../lab/vpn/hosts.ts";
import { startLab } from "../lab/vpn/lab.ts";
import { podAddress } from "../lab/vpn/network.ts";
import { startTarget, talk, untilHeard } from "../lab/vpn/traffic.ts";

const hostileLines = (proof: string): string[] => [
  `7100 10.0.0.5:5432!!EXEC:touch,path=${proof} 5432 wg0`,
  `7101 10.0.0.5:5432!!EXEC:touch ${proof},path=/usr/bin 5432 wg0`,
  `7102 $(touch\${IFS}${proof}) 5432 wg0`,
  `7103 \`touch\${IFS}${proof}\` 5432 wg0`,
  `7104 10.0.0.5;touch\${IFS}${proof} 5432 wg0`,
  `7105 10.0.0.5 5432,system=touch\${IFS}${proof} wg0`,
  `7106 10.0.0.5 7000 wg0,system=touch\${IFS}${proof}`,
  `7107,system=touch 10.0.0.5 7000 wg0`,
  `7108 ${proof.replaceAll("/", "\\x2f")} 7000 wg0`,
  `7109 EXEC:${proof} 7000 wg0`,
  `7110 ../../${proof} 7000 wg0`,
  `7111 .. 7000 ..`,
  `7112 -h 7000 wg0`,
  `7113 10.0.0.5 7000 ../wg0`,
  `7114 10.0.0.5 7000 wg0 | touch ${proof}`,
  `7115 10.0.0.5 0 wg0`,
  `7116 10.0.0.5 65536 wg0`,
  `7117 10.0.0.5 07000 wg0`,
  `7118 010.0.0.5 7000 wg0`,
  `7119 10.0.0.256 7000 wg0`,
  `7120 0x0a000005 7000 wg0`,
  `7121 167772165 7000 wg0`,
  `7122 [fd00::5] 7000 wg0`,
  `7123 fd00::5%eth0 7000 wg0`,
  `7124 * 7000 wg0`,
  `7125 10.0.0.5`,
  `7126 ${"a".repeat(300)} 7000 wg0`,
  `7127 10.0.0.5 ${"9".repeat(40)} wg0`,
  `7128 10.0.0.5 7000 ${"w".repeat(16)}`,
  `0 10.0.0.5 7000 wg0`,
  `22 10.0.0.5 7000 wg0`,
  `99999 10.0.0.5 7000 wg0`,
  `65535 10.0.0.5 7000 wg0`, // where the pod says that it is ready
  `65534 10.0.0.5 7000 wg0`, // and where it answers with its metrics
  `-1 10.0.0.5 7000 wg0`,
  `a[$(touch\${IFS}${proof})] 10.0.0.5 7000 wg0`,
  `7000 10.0.0.6 7000 wg0`, // a second line for a port: the first one wins
  "\u0000\u001b[2J\u0007 \u0000 \\ \\\\",
  "* * * *",
  "",
  "#",
];

for (const { shell, forwarder } of variants) {
  void t.test(`hostile lines (${shell}, ${forwarder})`, async (t) => {
    const { network, vpn, gateway } = await startLab(t, { shell, forwarder, privateAddresses: ["10.0.0.6"] });
    await startTarget(vpn.host, "10.0.0.6", 7000, "six");
    const proof = `${gateway.directory}/tmp/owned`;
    gateway.setForwards("7000 10.0.0.5 7000 wg0", "7001 10.0.0.5 7000 wg0");
    await untilHeard(network, 7001, "five");
    await gateway.inForce(7001);

    gateway.setForwards(
      "7000 10.0.0.5 7000 wg0",
      ...hostileLines(proof),
      "7001 10.0.0.5;reboot 7000 wg0",
      "7002 10.0.0.6 7000 wg0",
    );
    await untilHeard(network, 7002, "six");
    await gateway.inForce(7002);
    await sleep(1_500);
    run(
      network.client,
      `for port in $(seq 7100 7128); do socat -u OPEN:/dev/null TCP4:${podAddress}:$port; done 2>&1 || true`,
    );

    t.notOk(existsSync(proof), "nothing was run");
    t.strictSame(readdirSync(`${gateway.directory}/tmp`), ["forwards"], "no file was made elsewhere");
    const listening = run(network.pod, "ss -tlnH | sed 's/.*:\\([0-9]*\\) .*/\\1/' | sort -u").trim().split("\n");
    t.strictSame(
      listening,
      ["65534", "65535", "7000", "7001", "7002"],
      "only the good lines listen, the pod's readiness and its metrics",
    );
    if (forwarder === "kernel") {
      const rules = run(network.pod, "iptables-save -t nat | grep -o 'dport.*DNAT.*'").trim().split("\n");
      const leads = (port: string, target: string) => `dport ${port} -j DNAT --to-destination ${target}:7000`;
      t.strictSame(
        rules,
        [leads("7000", "10.0.0.5"), leads("7001", "10.0.0.5"), leads("7002", "10.0.0.6")],
        "and have rules",
      );
    }
    t.equal(talk(network, 7000).text, "five\n", "the first of two lines for one port wins");
    t.equal(talk(network, 7001).text, "five\n", "a line that became bad keeps what ran on its port");
    const log = await gateway.log();
    t.ok(!log.includes("\u001b") && !log.includes("touch"), "the log repeats none of it");
    t.match(log, /line 38 is ignored/, "and names the lines");
  });
}
