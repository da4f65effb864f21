import "../seed.ts";
import t from "tap";
import fc from "fast-check";
import { forbiddenHost, readHost } from "../../src/core/host.ts";

t.test("one canonical spelling", async (t) => {
  const canonical: Record<string, string> = {
    "10.0.0.5": "10.0.0.5",
    "SQL.Corp.Example.COM": "sql.corp.example.com",
    "sql.corp.example.com.": "sql.corp.example.com",
    "FD00:0:0::0005": "fd00::5",
    "fd00::5": "fd00::5",
    "xn--bcher-kva.example": "xn--bcher-kva.example",
    db1: "db1",
    "a-b.c-d": "a-b.c-d",
  };
  for (const [text, host] of Object.entries(canonical)) t.match(readHost(text), { host }, text);
  t.match(readHost("10.0.0.5"), { kind: "ipv4" });
  t.match(readHost("fd00::5"), { kind: "ipv6" });
  t.match(readHost("db1.example.com"), { kind: "name" });
});

t.test("refused, with the reason and the nearest valid form where there is one", async (t) => {
  const refused: Record<string, RegExp> = {
    "": /empty/,
    "010.0.0.5": /leading zeros; did you mean 8\.0\.0\.5\?/,
    "10.5": /four decimal numbers.*did you mean 10\.0\.0\.5\?/,
    "167772165": /did you mean 10\.0\.0\.5\?/,
    "0x0a000005": /did you mean 10\.0\.0\.5\?/,
    "10.0.0.256": /not an IPv4 address/,
    "10.0.0.5.6": /not an IPv4 address/,
    "１０.0.0.5": /did you mean 10\.0\.0\.5\?/,
    "bücher.example": /did you mean xn--bcher-kva\.example\?/,
    "exаmple.com": /did you mean xn--/,
    "::ffff:10.0.0.5": /IPv4-mapped.*did you mean 10\.0\.0\.5\?/,
    "fe80::1%eth0": /zone id.*did you mean fe80::1\?/,
    "fd00:::5": /not an IPv6 address/,
    "-db.example.com": /not a DNS name/,
    "db-.example.com": /not a DNS name/,
    "a..b": /not a DNS name/,
    "a_b.example.com": /not a DNS name/,
    "db example": /not a DNS name/,
    "db\n": /not a DNS name/,
    "db\0": /not a DNS name/,
    "$(touch x)": /not a DNS name/,
    "10.0.0.5,fork": /not a DNS name/,
    "10.0.0.5!!EXEC": /not a DNS name/,
    "日 本": /not a DNS name/,
    [`${"a".repeat(64)}.example.com`]: /not a DNS name/,
    [`${"a.".repeat(130)}com`]: /253/,
  };
  for (const [text, why] of Object.entries(refused)) {
    const reading = readHost(text);
    t.equal(reading.kind, "invalid", JSON.stringify(text));
    t.match(reading, { why }, JSON.stringify(text));
  }
});

t.test("an accepted host is free of syntax, and reads as itself", async () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.domain(), fc.string({ unit: "binary" })), (text) => {
      const reading = readHost(text);
      if (reading.kind === "invalid") return true;
      const again = readHost(reading.host);
      return (
        /^[a-z0-9.:-]+$/.test(reading.host) &&
        !reading.host.startsWith("-") &&
        again.kind !== "invalid" &&
        again.host === reading.host
      );
    }),
    { numRuns: 500 },
  );
});

t.test("hosts that no config makes a target", async (t) => {
  const forbidden = [
    "127.0.0.1",
    "0.0.0.0",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd00:ec2::253",
    "192.0.0.192",
    "240.0.0.1",
    "0.1.2.3",
    "::a00:5",
    "fec0::1",
    "febf::1",
    "feff::1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:1::",
    "::ffff:0:7f00:1",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data.ec2.internal",
    "localhost",
    "db.localhost",
    "db",
    "kubernetes.default",
    "api.team-a.svc",
    "api.team-a.svc.cluster.local",
    "api.team-a.svc.k8s.corp",
    "pod-0.api.team-a.svc.k8s.corp",
    "10-0-0-5.team-a.pod.k8s.corp",
    "x.cluster.local",
  ];
  for (const host of forbidden) t.type(forbiddenHost(host), "string", host);
  for (const host of [
    "10.0.0.5",
    "192.168.1.1",
    "192.0.1.1",
    "8.8.8.8",
    "fd00::5",
    "64:ff9b::a00:5",
    "sql.corp.example.com",
    "svc.example.com",
  ]) {
    t.equal(forbiddenHost(host), undefined, host);
  }
});
