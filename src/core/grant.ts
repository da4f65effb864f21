/**
 * The wishes of a pod's annotations, as far as the config grants them: the gateway, and a tunnel and a redirect for
 * each target.
 */
import { readTargets } from "./annotation.ts";
import { findGateway, findTunnel, withoutTunnel } from "./config/choose.ts";
import type { Config, PlacedGateway } from "./config/config.ts";
import { hostKey } from "./forwards/table.ts";
import { readHost } from "./host.ts";
import { perObject, perText } from "./memo.ts";
import { plain } from "./message.ts";
import { annotation } from "./names.ts";
import { reject, type Rejection } from "./reasons.ts";
import type { Redirect, Target, Want } from "./target.ts";

/** The wishes of a pod's annotations, and the pod's namespace. */
export type PodWish = {
  readonly namespace: string;
  readonly targets: string;
  readonly gateway: string | undefined;
  readonly tunnel: string | undefined;
};
export type Grant =
  | { readonly kind: "grant"; readonly gateway: PlacedGateway; readonly wants: readonly Want[] }
  | (Rejection & { readonly targets: readonly Target[] });

/**
 * Room for some thousand different wishes. A target takes up to 1,200 bytes with its assignment, which is kept as long.
 */
const GRANTS_BYTES = 8 * 1024 * 1024;
const WANT_BYTES = 1200;
const grantsOf = perObject((_config: Config) =>
  perText<Grant>(GRANTS_BYTES, (granted, text) =>
    granted.kind === "grant"
      ? WANT_BYTES * granted.wants.length + 8 * text.length
      : WANT_BYTES * granted.targets.length + 2 * granted.message.length,
  ),
);

/**
 * `auto`: the name of a host keeps its meaning, unless the annotation names an env for it; an address is found in env.
 */
const redirectOf = ({ host, hostEnv, aliases, redirect }: Target, config: Config): Redirect => {
  const wished = redirect ?? config.redirect;
  if (wished !== "auto") return wished;
  const hasName = aliases.length > 0 || readHost(host).kind === "name";
  return hasName && hostEnv.length === 0 ? "hostAlias" : "env";
};

const wantOf = (target: Target, namespace: string, tunnel: string, config: Config): Want => {
  const redirect = redirectOf(target, config);
  const isLed = redirect === "hostAlias" && readHost(target.host).kind === "name";
  const names = [...new Set([...(isLed ? [target.host] : []), ...target.aliases])];
  return { target, namespace, tunnel, redirect, names, needsService: names.length > 0 };
};

/** A host that env hold, or an env that is named for it, and that two tunnels have: which tunnel is meant is not known. */
const twoTunnels = (wants: readonly Want[]): Rejection | undefined => {
  const tunnels = new Map<string, string>();
  for (const { target, tunnel, redirect } of wants) {
    if (redirect !== "env") continue;
    for (const key of target.hostEnv.length > 0 ? target.hostEnv : [target.host]) {
      const other = tunnels.get(key) ?? tunnel;
      if (other !== tunnel)
        return reject("host-twice", `${target.name}: ${key} through ${other} and through ${tunnel}`);
      tunnels.set(key, tunnel);
    }
  }
  return undefined;
};

/**
 * A name that two hosts of the pod claim: by hostAliases, or as the host that env hold. Through two tunnels one host may be both, where the
 * annotation names the env.
 */
const twiceLed = (wants: readonly Want[]): Rejection | undefined => {
  const keyOf = ({ target, tunnel }: Want): string => hostKey(tunnel, target.host);
  const conflict = (want: Want, name: string, other: string): Rejection =>
    reject("alias-conflict", `${want.target.name}: ${name} would stand for ${other} and for ${keyOf(want)}`);
  const led = new Map<string, Want>();
  for (const want of wants) {
    for (const name of want.names) {
      const other = led.get(name);
      if (other !== undefined && keyOf(other) !== keyOf(want)) return conflict(want, name, keyOf(other));
      led.set(name, want);
    }
  }
  for (const want of wants) {
    const { host, hostEnv } = want.target;
    const other = want.redirect === "env" ? led.get(host) : undefined;
    if (other === undefined || keyOf(other) === keyOf(want)) continue;
    if (other.target.host !== host || hostEnv.length === 0) return conflict(want, host, keyOf(other));
  }
  return undefined;
};

/** The gateway, and a tunnel for each target, as far as the config allows them. */
const grant = ({ namespace, targets, gateway: wished, tunnel: podTunnel }: PodWish, config: Config): Grant => {
  const found = findGateway(config, namespace, wished);
  if (found.kind === "reject") return { ...found, targets: [] };
  const { gateway } = found;
  // The rights first: to read the text costs far more.
  const without = withoutTunnel(gateway, namespace);
  if (without !== undefined) return { ...without, targets: [] };
  const read = readTargets(targets);
  if (read.kind === "reject") return { ...read, targets: [] };
  const wants: Want[] = [];
  for (const [index, target] of read.targets.entries()) {
    const found = findTunnel(gateway, namespace, target, podTunnel, `${annotation.targets}[${index}]`);
    if (found.kind === "reject") return { ...found, targets: read.targets };
    wants.push(wantOf(target, namespace, found.tunnel.name, config));
  }
  const conflict = twiceLed(wants) ?? twoTunnels(wants);
  return conflict === undefined ? { kind: "grant", gateway, wants } : { ...conflict, targets: read.targets };
};

/** The gateway and the wants; equal wishes under one config share one answer. */
export const grantOf = (wish: PodWish, config: Config): Grant =>
  grantsOf(config)(JSON.stringify(wish), () => withContact(grant(wish, config), config));

/** Whom to ask, in a refusal that says "ask the admin". */
const withContact = (granted: Grant, { contact }: Config): Grant =>
  granted.kind === "reject" && contact !== undefined
    ? { ...granted, message: granted.message.replace(/ask the admin\b/, `ask the admin (${plain(contact, 200)})`) }
    : granted;
