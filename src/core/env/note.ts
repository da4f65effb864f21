import type { Note } from "./verdict.ts";
import type { LeftReason } from "./sighting.ts";
import { listed } from "../message.ts";

/** A note stays short: more names than these are counted. */
export const MOST_NAMES = 3;

const LEFT: Readonly<Record<LeftReason, (hosts: string) => string>> = {
  path: (hosts) => `holds ${hosts} in a path or a query: left alone`,
  network: (hosts) => `holds ${hosts} as a network: left alone`,
  range: (hosts) => `holds ${hosts} in a range of addresses: left alone`,
  value: (hosts) => `holds ${hosts} in a value that names no server: left alone`,
  udp: (hosts) => `holds ${hosts} behind udp://, and a gateway forwards TCP only: left alone`,
  share: (hosts) => `holds ${hosts} in the path of a file share: left alone`,
  "hosts-line": (hosts) => `holds ${hosts} in a line of a hosts file, which takes no name: left alone`,
  numeric: () => "hostaddr takes an IP address only: use host",
  srv: (hosts) => `holds ${hosts} in a URL that asks for SRV records: write its servers`,
  joined: (hosts) => `holds ${hosts} put together from several env: left alone`,
  split: (hosts) => `holds ${hosts}, whose targets have several addresses: name hostEnv`,
  long: () => "not read, because its references make it too long",
};

/** A note in words, of one env (`name`) and the hosts that it is about; never a piece of the env's value. */
export const noteText = (name: string, note: Note, hosts: readonly string[], ports: readonly number[]): string => {
  const those = listed([...new Set(hosts)], MOST_NAMES);
  switch (note.kind) {
    case "left":
      return `${name}: ${LEFT[note.why](those)}`;
    case "port":
      return `${name} is ${those} with port ${note.port}, the annotation says ${listed(ports.map(String), MOST_NAMES)}`;
    case "unread":
      return `${name}: holds ${those} in a form that is not read`;
    case "instance":
      return `${name}: names an instance of ${those}, which is asked for over UDP 1434: write the port`;
  }
};
