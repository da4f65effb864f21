import { FIRST_LISTEN_PORT, type Forward, LAST_PORT, READY_PORT } from "./table.ts";

/** A forward that is wished for; what is taken gets the next free name and port. */
type WishedForward = {
  readonly name: string;
  readonly tunnel: string;
  readonly targetHost: string;
  readonly targetPort: number;
  readonly listenPort: number;
  readonly servicePort: number;
  /** The service port was asked for by number: another one will not do. */
  readonly isFixed: boolean;
};

type Added =
  | { readonly kind: "added"; readonly forward: Forward }
  | { readonly kind: "taken"; readonly by: Forward }
  | { readonly kind: "full" };

/**
 * A table that is being changed: many requests are served in one write, so that what a target has, and what is taken, is
 * looked up and not searched for. What was done since `keep` was last called is taken back by `undo`.
 */
export type Allocator = {
  readonly forwards: readonly Forward[];
  readonly find: (tunnel: string, host: string, targetPort: number) => Forward | undefined;
  /** The forward without the sweep's mark. */
  readonly use: (forward: Forward) => Forward;
  readonly add: (entry: WishedForward) => Added;
  readonly keep: () => void;
  readonly undo: () => void;
  readonly isChanged: () => boolean;
};

/** A allocator that starts as these forwards. */
export const allocatorOf = (start: readonly Forward[]): Allocator => {
  const forwards = [...start];
  const places = new Map(
    forwards.map((item, place) => [targetKey(item.tunnel, item.targetHost, item.targetPort), place]),
  );
  const names = new Set(forwards.map(({ name }) => name));
  const listenPorts = new Set(forwards.map(({ listenPort }) => listenPort));
  const servicePorts = new Map(
    forwards.flatMap((item) => (item.servicePort === undefined ? [] : [[item.servicePort, item] as const])),
  );
  let undoing: (() => void)[] = [];
  let kept = 0;

  const push = (forward: Forward & { readonly servicePort: number }): void => {
    const key = targetKey(forward.tunnel, forward.targetHost, forward.targetPort);
    places.set(key, forwards.push(forward) - 1);
    names.add(forward.name);
    listenPorts.add(forward.listenPort);
    servicePorts.set(forward.servicePort, forward);
    undoing.push(() => {
      forwards.pop();
      places.delete(key);
      names.delete(forward.name);
      listenPorts.delete(forward.listenPort);
      servicePorts.delete(forward.servicePort);
    });
  };

  return {
    forwards,
    find: (tunnel, host, targetPort) => forwards[places.get(targetKey(tunnel, host, targetPort)) ?? -1],
    use: (forward) => {
      const { unusedSince, ...used } = forward;
      if (unusedSince === undefined) return forward;
      const place = forwards.indexOf(forward);
      forwards[place] = used;
      undoing.push(() => (forwards[place] = forward));
      return used;
    },
    add: ({ isFixed, ...entry }) => {
      const holder = isFixed ? servicePorts.get(entry.servicePort) : undefined;
      if (holder !== undefined) return { kind: "taken", by: holder };
      const lowest = entry.servicePort < FIRST_LISTEN_PORT ? 1 : FIRST_LISTEN_PORT;
      const servicePort = nextFree(servicePorts, entry.servicePort, lowest, LAST_PORT);
      const listenPort = nextFree(listenPorts, entry.listenPort, FIRST_LISTEN_PORT, READY_PORT - 1);
      if (servicePort === undefined || listenPort === undefined) return { kind: "full" };
      const { tunnel, targetHost, targetPort } = entry;
      const name = freeName(names, entry.name);
      const forward = { name, tunnel, targetHost, targetPort, listenPort, servicePort };
      push(forward);
      return { kind: "added", forward };
    },
    keep: () => {
      kept += undoing.length;
      undoing = [];
    },
    undo: () => {
      undoing.reverse().forEach((step) => step());
      undoing = [];
    },
    isChanged: () => kept + undoing.length > 0,
  };
};

const targetKey = (tunnel: string, host: string, targetPort: number): string => `${tunnel} ${host} ${targetPort}`;

type Taken<T> = { readonly has: (value: T) => boolean };

/** The first free number from `wished` up to `highest`, then from `lowest` up; undefined when every one is taken. */
const nextFree = (taken: Taken<number>, wished: number, lowest: number, highest: number): number | undefined => {
  const start = Math.max(wished, lowest);
  for (let candidate = start; candidate <= highest; candidate += 1) if (!taken.has(candidate)) return candidate;
  for (let candidate = lowest; candidate < start; candidate += 1) if (!taken.has(candidate)) return candidate;
  return undefined;
};

const freeName = (taken: Taken<string>, wished: string): string => {
  let name = wished;
  for (let n = 2; taken.has(name); n += 1) name = `${wished.slice(0, 62 - String(n).length).replace(/-+$/, "")}-${n}`;
  return name;
};
