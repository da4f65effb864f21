import { applyEdits } from "../edit.ts";
import { findPlaces } from "./places/find.ts";
import type { Span } from "./places/place.ts";
import type { Expanded } from "./reference.ts";
import {
  type EnvView,
  viewOf,
  isExpanded,
  isLed,
  isShort,
  type Named,
  portEnvOf,
  portsIn,
  setPort,
  sourceEdits,
} from "./relations.ts";
import type { Ports, Routes } from "./routes.ts";
import { NUMERIC, portToUse, rewriteValue } from "./value.ts";
import type { EnvVar } from "../pod.ts";
import type { Assignment } from "../target.ts";

export type ContainerEnv = {
  /** New values, by index. */
  readonly changes: ReadonlyMap<number, string>;
  /** Names of env that lead to the gateway. */
  readonly leading: ReadonlySet<string>;
  readonly matched: ReadonlySet<Assignment>;
  /** Those among them whose port a client can read from an env. */
  readonly told: ReadonlySet<Assignment>;
  readonly warnings: readonly string[];
  /** Names of env whose host is a reference that cannot be followed. */
  readonly unresolved: readonly string[];
  readonly refused?: Refused;
};

/** An env that cannot be redirected. `detail`: what about it. */
export type Refused = {
  readonly reason: "srv-url" | "port-env-missing";
  readonly env: string;
  readonly detail?: string;
};

/** Of a container's env no more is read: references could make little text into much. */
const BUDGET = 262_144;

const SPLIT = "a part of its address comes from another env: left alone";

/** Notes what one env and its port env become; the name of an env whose URL cannot be redirected ends it all. */
const look = (view: EnvView, index: number, name: string, expanded: Expanded, routes: Routes): "srv" | undefined => {
  const warn = (text: string): unknown => view.warnings.push(`${name}: ${text}`);
  const { port, pair } = portEnvOf(view, name);
  const portsAt = (host: Span): Ports | undefined => portsIn(view, expanded, host);
  const result = rewriteValue(expanded.text, routes, { paired: port, portsAt, isExpanded: isExpanded(expanded) });
  if (result.isSrv) return "srv";
  result.warnings.forEach(warn);
  if (result.leadsTo.size === 0) {
    if (!view.outcomes.has(index)) view.outcomes.set(index, result);
    return undefined;
  }
  if (name === "PGHOSTADDR") return void warn(NUMERIC);
  if (pair !== undefined && result.elsewhere !== undefined) {
    // A host that stays must keep its port: both are edited or none.
    if (sourceEdits(view, expanded, result.edits) === undefined) return void warn(SPLIT);
    if (!setPort(view, pair, result.elsewhere, result.leadsTo))
      return void warn(`its port must be ${result.elsewhere}, but another env shares it: left alone`);
  }
  view.outcomes.set(index, result);
  return undefined;
};

/** True where a client uses the right port by itself: it is the target's own, or the annotation fixes it or puts it into an env. */
export const hasClientsPort = ({ target, port }: Assignment): boolean =>
  port === target.port || target.servicePort !== undefined || target.portEnv.length > 0;

type Settled = Omit<ContainerEnv, "warnings" | "unresolved">;

/** The values as they will be written. A client that must guess the port would reach another target of the gateway: refused. */
const settle = (view: EnvView): Settled => {
  const changes = new Map<number, string>();
  const leading = new Set<string>();
  const matched = new Set<Assignment>();
  const told = new Set<Assignment>();
  const untold: { readonly env: string; readonly to: Assignment; readonly port: number }[] = [];
  for (const [index, { name, value = "" }] of view.env.entries()) {
    const expanded = view.values[index];
    const outcome = view.outcomes.get(index);
    if (expanded === undefined || outcome === undefined) continue;
    const own = sourceEdits(view, expanded, outcome.edits);
    if (own === undefined) {
      view.outcomes.delete(index);
      view.warnings.push(`${name}: ${SPLIT}`);
      continue;
    }
    if (isLed(outcome)) leading.add(name);
    for (const assignment of outcome.leadsTo) {
      const port = outcome.untold?.get(assignment);
      matched.add(assignment);
      if (port === undefined) told.add(assignment);
      else untold.push({ env: name, to: assignment, port });
    }
    if (own.length > 0) changes.set(index, applyEdits(value, own));
  }
  const missing = untold.find(({ to }) => !told.has(to) && !hasClientsPort(to));
  return {
    changes,
    leading,
    matched,
    told,
    ...(missing && {
      refused: {
        reason: "port-env-missing",
        env: missing.env,
        detail: portToUse(missing.to.port, missing.port),
      },
    }),
  };
};

/** A reference, but not an escaped one (`$$(VAR)`). */
const REFERENCE = /(?<!\$)(\$\$)*\$\(/;

const hasOpenHost = ({ text }: Expanded): boolean =>
  text.includes("$(") && findPlaces(text).some(({ host }) => REFERENCE.test(text.slice(host.start, host.end)));

const untouchedEnv: ContainerEnv = {
  changes: new Map(),
  leading: new Set(),
  matched: new Set(),
  told: new Set(),
  warnings: [],
  unresolved: [],
};

/** Rewrites the env of one container by value. */
export const rewriteEnv = (env: readonly EnvVar[], routes: Routes, named: Named): ContainerEnv => {
  const first = env.findIndex(({ value }) => value !== undefined && (value.includes("$(") || routes.mayHold(value)));
  if (first < 0) return untouchedEnv;
  const view = viewOf(env, named);
  const unresolved: string[] = [];
  let budget = BUDGET;
  for (let index = first; index < env.length; index += 1) {
    const { name, value } = env[index] as EnvVar;
    const expanded = view.values[index];
    const text = expanded?.text ?? (value === undefined || isShort(value) ? "" : value);
    const mayHold = routes.mayHold(text);
    if (!mayHold && !text.includes("$(") && (expanded === undefined || !isExpanded(expanded))) continue;
    if (named.has(name) || /^no_proxy$/i.test(name)) continue;
    budget -= expanded === undefined ? 0 : text.length;
    if (expanded === undefined || budget < 0) {
      if (mayHold) view.warnings.push(`${name}: not read, because it or the env before it are too long`);
      continue;
    }
    if (hasOpenHost(expanded)) unresolved.push(name);
    if (look(view, index, name, expanded, routes) === "srv")
      return { ...untouchedEnv, refused: { reason: "srv-url", env: name } };
  }
  const settled = settle(view);
  return { ...settled, warnings: view.warnings, unresolved };
};
