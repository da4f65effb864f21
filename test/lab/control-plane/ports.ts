// Free ports on loopback. They are not from listening on port 0: such a port is in the range of outgoing connections.
// While a server restarts, a client's next attempt could take its port, or even connect to itself. These are from below
// that range (Linux: 32768 and up, macOS: 49152 and up).
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

const first = 15_000;
const last = 32_767;
const attempts = 200;

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}

/**
 * Returns so many different free ports of 127.0.0.1, at random: clusters that start at the same time get different
 * ones.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let attempt = 0; attempt < attempts && found.size < count; attempt++) {
    const port = randomInt(first, last + 1);
    if (await isFree(port)) found.add(port);
  }
  if (found.size < count) throw new Error(`no ${count} free ports on 127.0.0.1 between ${first} and ${last}`);
  return [...found];
}
