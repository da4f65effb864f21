import { perObject } from "../memo.ts";
import { freeName } from "../names.ts";
import { FIRST_LISTEN_PORT, LAST_LISTEN_PORT, READY_PORT } from "./ports.ts";
import { type Forward, hostKey, type HostService, lineOf, type Table, targetKey } from "./table.ts";

/** A forward that is wished for. A name or listen port that is taken is replaced by the next free one. */
type WishedForward = Omit<Forward, "servicePort" | "unusedSince"> & {
  /** At the gateway's Service; another forward's port there is left to it, and the one by which the gateway's pods ask for each other. */
  readonly servicePort: number;
  /** Ports that the config names: taken though they were a removed forward's. */
  readonly isFixed?: boolean;
};

/**
 * A table that is being changed. Many requests are served in one write, so lookups are by key. `undo` takes back the
 * changes since the last `keep`.
 */
export type Allocator = {
  readonly forwards: readonly Forward[];
  readonly services: readonly HostService[];
  /** Bytes that the table takes in its ConfigMap. */
  readonly bytes: () => number;
  readonly find: (tunnel: string, host: string, targetPort: number) => Forward | undefined;
  readonly findService: (tunnel: string, host: string) => HostService | undefined;
  /** The forward that has this port at the gateway's Service. */
  readonly holderOf: (servicePort: number) => Forward | undefined;
  /** The forward without the mark of an unused one. */
  readonly use: (forward: Forward) => Forward;
  /** The forward, with this namespace among those that asked for it. */
  readonly name: (forward: Forward, namespace: string) => Forward;
  /** The forward, with this free port at the gateway's Service. */
  readonly offer: (forward: Forward, servicePort: number) => Forward;
  /** The new forward; `undefined`: no listen port is free. */
  readonly add: (wish: WishedForward) => Forward | undefined;
  readonly addService: (name: string, tunnel: string, host: string) => HostService;
  readonly keep: () => void;
  readonly undo: () => void;
  /** The table with the changes; `before` itself where there are none. */
  readonly table: () => Table;
};

/** The bytes of a forward in the ConfigMap, with the brackets around it; all of it is ASCII. */
const forwardBytes = perObject((item: Forward): number => JSON.stringify(item).length + lineOf(item).length + AROUND);
const AROUND = 32;
const serviceBytes = perObject((item: HostService): number => JSON.stringify(item).length + 4);

/** Bytes that a table takes in its ConfigMap. */
export const bytesOf = perObject(
  ({ forwards, services }: Table): number =>
    forwards.reduce((sum, item) => sum + forwardBytes(item), 0) +
    services.reduce((sum, item) => sum + serviceBytes(item), 0),
);

/** An allocator that starts as this table. */
export const allocatorOf = (before: Table): Allocator => {
  const forwards = [...before.forwards];
  const services = [...before.services];
  const indices = new Map(
    forwards.map((item, index) => [targetKey(item.tunnel, item.targetHost, item.targetPort), index]),
  );
  const byHost = new Map(
    services.filter(({ isClosed }) => !isClosed).map((item) => [hostKey(item.tunnel, item.host), item]),
  );
  const names = new Set(forwards.map(({ name }) => name));
  const serviceNames = new Set(services.map(({ name }) => name));
  const listenPorts = new Set(forwards.map(({ listenPort }) => listenPort));
  const holders = new Map<number, Forward>();
  for (const item of forwards) if (item.servicePort !== undefined) holders.set(item.servicePort, item);
  const retired = retiredPortsOf(before);
  let bytes = bytesOf(before);
  let undoing: (() => void)[] = [];
  let kept = 0;

  const replace = (old: Forward, next: Forward): Forward => {
    const index = forwards.indexOf(old);
    const put = (item: Forward, instead: Forward): void => {
      forwards[index] = item;
      bytes += forwardBytes(item) - forwardBytes(instead);
      if (instead.servicePort !== undefined) holders.delete(instead.servicePort);
      if (item.servicePort !== undefined) holders.set(item.servicePort, item);
    };
    put(next, old);
    undoing.push(() => put(old, next));
    return next;
  };

  return {
    forwards,
    services,
    bytes: () => bytes,
    find: (tunnel, host, targetPort) => forwards[indices.get(targetKey(tunnel, host, targetPort)) ?? -1],
    findService: (tunnel, host) => byHost.get(hostKey(tunnel, host)),
    holderOf: (servicePort) => holders.get(servicePort),
    use: (forward) => {
      const { unusedSince, ...used } = forward;
      return unusedSince === undefined ? forward : replace(forward, used);
    },
    name: (forward, namespace) =>
      replace(forward, { ...forward, namespaces: [...(forward.namespaces ?? []), namespace] }),
    offer: (forward, servicePort) => replace(forward, { ...forward, servicePort }),
    add: ({ name: wished, servicePort, namespaces, isFixed = false, ...rest }) => {
      const target = targetKey(rest.tunnel, rest.targetHost, rest.targetPort);
      const isRetired = (ports: ReadonlyMap<number, string>, port: number): boolean =>
        !isFixed && ports.has(port) && ports.get(port) !== target;
      const unused = { has: (port: number) => listenPorts.has(port) || isRetired(retired.listen, port) };
      const nextOf = (taken: Taken<number>) => nextFree(taken, rest.listenPort, FIRST_LISTEN_PORT, LAST_LISTEN_PORT);
      const listenPort = nextOf(unused) ?? nextOf(listenPorts);
      if (listenPort === undefined) return undefined;
      const isReserved = servicePort === READY_PORT && !isFixed;
      const isFree = !holders.has(servicePort) && !isReserved && !isRetired(retired.service, servicePort);
      const forward = {
        name: freeName(wished, names),
        ...rest,
        listenPort,
        ...(isFree && { servicePort }),
        ...(namespaces && { namespaces }),
      };
      indices.set(target, forwards.push(forward) - 1);
      names.add(forward.name);
      listenPorts.add(listenPort);
      if (isFree) holders.set(servicePort, forward);
      bytes += forwardBytes(forward);
      undoing.push(() => {
        forwards.pop();
        indices.delete(target);
        names.delete(forward.name);
        listenPorts.delete(listenPort);
        if (isFree) holders.delete(servicePort);
        bytes -= forwardBytes(forward);
      });
      return forward;
    },
    addService: (wished, tunnel, host) => {
      const service = { name: freeName(wished, serviceNames), tunnel, host, clusterIPs: [] };
      services.push(service);
      byHost.set(hostKey(tunnel, host), service);
      serviceNames.add(service.name);
      bytes += serviceBytes(service);
      undoing.push(() => {
        services.pop();
        byHost.delete(hostKey(tunnel, host));
        serviceNames.delete(service.name);
        bytes -= serviceBytes(service);
      });
      return service;
    },
    keep: () => {
      kept += undoing.length;
      undoing = [];
    },
    undo: () => {
      undoing.reverse().forEach((step) => step());
      undoing = [];
    },
    table: () => (kept + undoing.length > 0 ? { ...before, forwards: [...forwards], services: [...services] } : before),
  };
};

/** The ports of removed forwards, each with the target that had it last. */
const retiredPortsOf = perObject(({ retired = [] }: Table) => {
  const oldestFirst = retired.toReversed().map((item) => ({
    ...item,
    target: targetKey(item.tunnel, item.targetHost, item.targetPort),
  }));
  return {
    listen: new Map(oldestFirst.map(({ listenPort, target }) => [listenPort, target])),
    service: new Map(
      oldestFirst.flatMap(({ servicePort, target }) =>
        servicePort === undefined ? [] : [[servicePort, target] as const],
      ),
    ),
  };
});

type Taken<T> = { readonly has: (value: T) => boolean };

/** The first free number from `wished` up to `highest`, then from `lowest` up; undefined when every one is taken. */
const nextFree = (taken: Taken<number>, wished: number, lowest: number, highest: number): number | undefined => {
  const start = Math.max(wished, lowest);
  for (let candidate = start; candidate <= highest; candidate += 1) if (!taken.has(candidate)) return candidate;
  for (let candidate = lowest; candidate < start; candidate += 1) if (!taken.has(candidate)) return candidate;
  return undefined;
};
