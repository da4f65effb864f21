import type { Held, Read } from "./container.ts";
import type { LeftReason } from "./sighting.ts";

/** The decision about a held host. */
export type Verdict =
  | {
      readonly kind: "replace";
      /** The ports that are read beside it; empty: none is read, and every target of the host may be meant. */
      readonly ports: readonly number[];
      /**
       * A port beside it is not read, or is no target's: only a Service of the host's own is never another server
       * there.
       */
      readonly needsOwnService: boolean;
    }
  | { readonly kind: "stay"; readonly why: LeftReason | "port" };

/**
 * A remark of an admission about one reading. `port`: a near miss. `unread` and `instance`: the host is replaced all
 * the same.
 */
export type Note =
  | { readonly kind: "left"; readonly why: LeftReason }
  | { readonly kind: "port"; readonly port: number }
  | { readonly kind: "unread" | "instance" };

/** Whether a read of a host fits the ports of its targets; `open`: the port is not known. */
const fitOf = ({ how }: Read, ports: ReadonlySet<number>): "right" | "wrong" | "open" | "none" => {
  switch (how.kind) {
    case "port":
      return ports.has(how.port) ? "right" : "wrong";
    case "left":
      return "none";
    case "alone":
    case "defaults":
    case "unread":
    case "instance":
      return "open";
  }
};

/** A text that is no host's, and that another env brings where its client reads a password or a user. */
const isSecretOfAnother = ({ env, reads }: Held): boolean =>
  reads.some((read) => read.env === env && read.how.kind === "unread") &&
  reads.some((read) => read.env !== env && read.how.kind === "left" && read.how.why === "value");

/** Decides one held host from all that read it. `ports`: those of its targets. */
export const verdictOf = (held: Held, ports: ReadonlySet<number>): Verdict => {
  const stays = held.reads.find(({ env, how }) => how.kind === "left" && (env === held.env || how.why === "joined"));
  if (stays?.how.kind === "left") return { kind: "stay", why: stays.how.why };
  const fits = held.reads.map((read) => fitOf(read, ports));
  const right = new Set(
    held.reads.flatMap(({ how }) => (how.kind === "port" && ports.has(how.port) ? [how.port] : [])),
  );
  const isOpen = fits.includes("open");
  if (right.size === 0 && !isOpen) return { kind: "stay", why: "port" };
  if (right.size === 0 && isSecretOfAnother(held)) return { kind: "stay", why: "value" };
  return {
    kind: "replace",
    ports: isOpen ? [] : [...right],
    needsOwnService: isOpen || right.size > 1 || fits.includes("wrong"),
  };
};

/** Whether the client that reads a host dials it at a target's port, as far as that is known. */
export const isDialed = (read: Read, ports: ReadonlySet<number>): boolean => {
  const fit = fitOf(read, ports);
  return fit === "right" || fit === "open";
};

/** The remark about a read; undefined: the read is understood. */
export const noteOf = ({ how }: Read, ports: ReadonlySet<number>): Note | undefined => {
  switch (how.kind) {
    case "port":
      return ports.has(how.port) ? undefined : { kind: "port", port: how.port };
    case "defaults":
      return ports.has(how.ports[0] as number) ? undefined : { kind: "unread" };
    case "left":
      return { kind: "left", why: how.why };
    case "unread":
    case "instance":
      return { kind: how.kind };
    case "alone":
      return undefined;
  }
};
