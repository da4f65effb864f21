import ipaddr from "ipaddr.js";
import { isIpHost, parseAddress, readHost } from "../host.ts";

/** One entry of `allowedTargets`, read. `port` absent: every port. */
export type AllowedTarget = { readonly port?: number } & (
  | { readonly kind: "network"; readonly network: readonly [ipaddr.IPv4 | ipaddr.IPv6, number] }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "suffix"; readonly suffix: string }
);

/** `host:port`, or `[host]:port`, which an IPv6 host needs; what is neither is a host alone. */
const splitPort = (text: string): { host: string; port?: number } => {
  const port = /:(\d{1,9})$/.exec(text)?.[1];
  const host = port === undefined ? text : text.slice(0, -port.length - 1);
  if (host.startsWith("[") && host.endsWith("]"))
    return { host: host.slice(1, -1), ...(port !== undefined && { port: Number(port) }) };
  return port === undefined || host.includes(":") ? { host: text } : { host, port: Number(port) };
};

/**
 * Reads `10.0.0.0/8`, `10.0.0.5`, `fd00::/8`, `sql.corp.example.com`, `*.corp.example.com`, each with an optional
 * `:port` (`[fd00::/8]:5432` for IPv6). Returns a sentence when it is none of these. A network whose address has host
 * bits set is refused: it is a typing error more often than not.
 */
export const readAllowedTarget = (text: string): AllowedTarget | string => {
  if (text.includes("://")) return "a URL: write its host, or host:port";
  const { host, port } = splitPort(text);
  if (port !== undefined && (port < 1 || port > 65535)) return `${port} is not a port (1-65535)`;
  const ported = port === undefined ? {} : { port };
  const slash = host.indexOf("/");
  if (slash >= 0) return readNetwork(host, ported);
  const name = readHost(host.replace(/^\*\./, ""));
  if (name.kind === "invalid") return name.why;
  if (host.startsWith("*.")) {
    return name.kind === "name"
      ? { kind: "suffix", suffix: `.${name.host}`, ...ported }
      : "a wildcard stands before a DNS name only";
  }
  if (name.kind === "name") return { kind: "name", name: name.host, ...ported };
  const parsed = ipaddr.parse(name.host);
  return { kind: "network", network: [parsed, parsed.kind() === "ipv4" ? 32 : 128], ...ported };
};

/** An entry as the config writes it. */
export const allowedText = (allowed: AllowedTarget): string => {
  const { port } = allowed;
  const host =
    allowed.kind === "network"
      ? networkText(allowed.network)
      : allowed.kind === "name"
        ? allowed.name
        : `*${allowed.suffix}`;
  if (port === undefined) return host;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
};
const networkText = ([ip, bits]: readonly [ipaddr.IPv4 | ipaddr.IPv6, number]): string =>
  bits === (ip.kind() === "ipv4" ? 32 : 128) ? ip.toString() : `${ip.toString()}/${bits}`;

const readNetwork = (host: string, ported: { port?: number }): AllowedTarget | string => {
  const slash = host.indexOf("/");
  const [base, bits] = [host.slice(0, slash), host.slice(slash + 1)];
  const reading = readHost(base);
  if (reading.kind === "invalid" || reading.kind === "name") return "not a network such as 10.0.0.0/8";
  const parsed = ipaddr.parse(reading.host);
  const size = parsed.kind() === "ipv4" ? 32 : 128;
  if (!/^(0|[1-9]\d{0,2})$/.test(bits) || Number(bits) > size) return `the prefix length is not 0-${size}`;
  const range = `${reading.host}/${bits}`;
  const first = (size === 32 ? ipaddr.IPv4 : ipaddr.IPv6).networkAddressFromCIDR(range).toString();
  if (first !== reading.host) return `the network's address is ${first}/${bits}`;
  return { kind: "network", network: [parsed, Number(bits)], ...ported };
};

/** Whether an entry grants a canonical host and port. A host name matches a name pattern only, never a network. */
export const grants = (allowed: AllowedTarget, host: string, port: number): boolean => {
  if (allowed.port !== undefined && allowed.port !== port) return false;
  if (!isIpHost(host)) {
    return allowed.kind === "name" ? allowed.name === host : allowed.kind === "suffix" && host.endsWith(allowed.suffix);
  }
  if (allowed.kind !== "network") return false;
  const parsed = parseAddress(host);
  const [network, bits] = allowed.network;
  return parsed.kind() === network.kind() && parsed.match([network, bits] as never);
};
