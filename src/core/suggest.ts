/** The targets that an unannotated pod seems to need: private servers that its namespace may reach. */
import { findGateway, findTunnel } from "./config/choose.ts";
import type { Config } from "./config/config.ts";
import { isFlowgenPod } from "./config/flowgen-pods.ts";
import { findPlaces } from "./env/places/find.ts";
import { readHost } from "./host.ts";
import { annotation } from "./names.ts";
import { isGatewayPod } from "./plan.ts";
import type { EnvVar, Pod } from "./pod.ts";
import { address } from "./target.ts";

type Endpoint = { readonly host: string; readonly port: number };

/** A longer text is no setting. */
const LONGEST_READ = 64 * 1024;
/** More would be a list of servers, and nothing to paste. */
const MOST = 20;

const endpoint = (host: string, port: number): readonly Endpoint[] => {
  const read = readHost(host.replace(/^\[|\]$/g, ""));
  return read.kind === "invalid" || !(port >= 1 && port <= 65535) ? [] : [{ host: read.host, port }];
};

/** The env that goes with `X_HOST`: `X_PORT`. */
const portBeside = (name: string, env: readonly EnvVar[]): number => {
  const wanted = name.replace(/(HOST(NAME)?|SERVER|ADDR(ESS)?)$/i, "PORT");
  return Number(wanted === name ? NaN : env.find((each) => each.name === wanted)?.value);
};

/** An env's hosts, as the client that reads it finds them. */
const inEnv = (name: string, value: string, env: readonly EnvVar[]): readonly Endpoint[] =>
  findPlaces(value).places.flatMap(({ host, slot }) => {
    const text = value.slice(host.start, host.end);
    if (slot.kind === "written") return endpoint(text, Number(value.slice(slot.span.start, slot.span.end)));
    if (slot.kind === "default") return slot.ports.slice(0, 1).flatMap((port) => endpoint(text, port));
    return endpoint(text, portBeside(name, env));
  });

/** A file or an argument: `host:port`, and `host` with a `port` near it, as JSON, YAML and options write them. */
const HOST_PORT = /(?<![\w.-])((?:[a-z0-9-]+\.)+[a-z0-9-]+|\[[0-9a-f:]+\]):(\d{1,5})(?!\d)/gi;
const HOST_THEN_PORT =
  /\b(?:host|server|address)["']?\s*[:=]\s*["']?((?:[a-z0-9-]+\.)+[a-z0-9-]+)["']?[\s,;]+["']?port["']?\s*[:=]\s*["']?(\d{1,5})/gi;
const inText = (text: string): readonly Endpoint[] =>
  [...text.matchAll(HOST_PORT), ...text.matchAll(HOST_THEN_PORT)].flatMap(([, host = "", port = ""]) =>
    endpoint(host, Number(port)),
  );

/**
 * The annotation's value for an unannotated flowgen pod. It lists each server that the pod names with a port and that a
 * tunnel carries for its namespace. The pod's env, arguments and `files` (texts that it mounts) are read. `undefined`:
 * there is none, or the pod is not flowgen's.
 */
export const suggestTargets = (
  pod: Pod,
  namespace: string,
  config: Config,
  files: readonly string[] = [],
): string | undefined => {
  const { annotations, labels } = pod.metadata;
  if (annotations?.[annotation.targets] !== undefined || isGatewayPod(labels ?? {})) return undefined;
  if (!isFlowgenPod(labels ?? {}, config)) return undefined;
  const found = findGateway(config, namespace, annotations?.[annotation.gateway]);
  if (found.kind === "reject") return undefined;
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  const env = containers.flatMap((container) => container.env ?? []);
  const texts = [...containers.flatMap((container) => (container.texts ?? []).map(({ text }) => text)), ...files];
  const all = [
    ...env.flatMap(({ name, value = "" }) => (value.length > LONGEST_READ ? [] : inEnv(name, value, env))),
    ...texts.filter(({ length }) => length <= LONGEST_READ).flatMap(inText),
  ];
  const isCarried = ({ host, port }: Endpoint): boolean => {
    const target = { name: "x", host, port, hostEnv: [], portEnv: [], aliases: [] };
    return findTunnel(found.gateway, namespace, target, annotations?.[annotation.tunnel], "").kind === "tunnel";
  };
  const targets = [...new Set(all.filter(isCarried).map(({ host, port }) => address(host, port)))];
  return targets.length === 0 ? undefined : targets.slice(0, MOST).join(", ");
};
