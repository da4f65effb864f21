import t from "tap";
import { grants, readAllowedTarget } from "../../../src/core/config/allowed.ts";

const isGranted = (pattern: string, host: string, port: number): boolean => {
  const allowed = readAllowedTarget(pattern);
  if (typeof allowed === "string") throw new Error(`${pattern}: ${allowed}`);
  return grants(allowed, host, port);
};

t.test("hosts and ports that a pattern grants", async (t) => {
  const granted: [pattern: string, host: string, port: number][] = [
    ["10.0.0.0/8", "10.255.0.1", 1],
    ["10.0.0.0/8:1433", "10.0.0.5", 1433],
    ["10.0.0.5", "10.0.0.5", 5432],
    ["10.0.0.5:1433", "10.0.0.5", 1433],
    ["0.0.0.0/0", "8.8.8.8", 1],
    ["fd00::/8", "fd12::1", 1],
    ["[fd00::/8]:5432", "fd12::1", 5432],
    ["[fd00::5]:5432", "fd00::5", 5432],
    ["fd00::5", "fd00::5", 5432],
    ["SQL.corp.example.com:1433", "sql.corp.example.com", 1433],
    ["*.corp.example.com", "sql.corp.example.com", 1433],
    ["*.corp.example.com", "a.b.corp.example.com", 1433],
    ["*.corp.example.com:1433", "a.corp.example.com", 1433],
  ];
  for (const [pattern, host, port] of granted)
    t.ok(isGranted(pattern, host, port), `${pattern} grants ${host}:${port}`);
});

t.test("hosts and ports that a pattern does not grant", async (t) => {
  const refused: [pattern: string, host: string, port: number][] = [
    ["10.0.0.0/8", "11.0.0.1", 1],
    ["10.0.0.0/8", "fd00::5", 1],
    ["fd00::/8", "10.0.0.5", 1],
    ["0.0.0.0/0", "sql.corp.example.com", 1],
    ["10.0.0.5:1433", "10.0.0.5", 1434],
    ["*.corp.example.com", "corp.example.com", 1],
    ["*.corp.example.com", "xcorp.example.com", 1],
    ["*.corp.example.com", "10.0.0.5", 1],
    ["sql.corp.example.com", "x.sql.corp.example.com", 1],
    ["sql.corp.example.com", "10.0.0.5", 1],
  ];
  for (const [pattern, host, port] of refused)
    t.notOk(isGranted(pattern, host, port), `${pattern} does not grant ${host}:${port}`);
});

t.test("texts that are no pattern", async (t) => {
  const invalid: Record<string, RegExp> = {
    "10.0.0.5/8": /the network's address is 10\.0\.0\.0\/8/,
    "fd00::5/8": /fd00::\/8/,
    "10.0.0.0/33": /prefix length is not 0-32/,
    "10.0.0.0/": /prefix length/,
    "10.0.0.0/8/": /prefix length/,
    "10.0.0.0/8/9": /prefix length/,
    "fd00::/8/8": /prefix length/,
    "[fd00::/8/9]:5432": /prefix length/,
    "fd00::/129": /0-128/,
    "corp.example.com/8": /not a network/,
    "10.0/8": /not a network/,
    "10.0.0.5:70000": /70000 is not a port/,
    "10.0.0.5:0": /not/,
    "*": /DNS name/,
    "*.10.0.0.5": /wildcard/,
    "a b": /DNS name/,
  };
  for (const [pattern, why] of Object.entries(invalid)) t.match(readAllowedTarget(pattern), why, pattern);
});
