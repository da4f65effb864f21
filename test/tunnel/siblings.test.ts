// Two identities behind one Service: new connections are served after every fault of one pod.
import t, { type Test } from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import { startGateway, type LabGateway } from "../lab/vpn/gateway.ts";
import { run, startOn, type Host } from "../lab/vpn/hosts.ts";
import * as lab from "../lab/vpn/network.ts";
import type { Network } from "../lab/vpn/network.ts";
import { startService, type ServiceEndpoint } from "../lab/vpn/service.ts";
import type { ShellName } from "../lab/vpn/shells.ts";
import { startSession, startTarget, talk } from "../lab/vpn/traffic.ts";
import { startVisits, type Visits } from "../lab/vpn/visits.ts";
import { documentedSecret, keyPair, startVpn, type Vpn } from "../lab/vpn/vpn.ts";
import { until } from "../wait.ts";

const DRAIN_SECONDS = 8;
const EVERY_MS = 25;

type Sibling = { readonly name: string; readonly network: Network; readonly endpoint: ServiceEndpoint };
type Scene = {
  readonly vpn: Vpn;
  readonly a: Sibling;
  readonly b: Sibling;
  /** The pod that follows the one of `a`, with an address of its own. */
  readonly successor: Sibling;
  readonly client: Host;
  readonly service: Network;
};

/** The server knows `address` by the public key of this private one. */
const admit = (vpn: Vpn, publicKey: string, address: string): void => {
  run(vpn.host, `wg set wg0 peer ${publicKey} allowed-ips ${address}/32`);
};
const secret = (vpn: Vpn, privateKey: string, address: string): string =>
  documentedSecret(vpn, { privateKey, address: `${address}/24` });

const startSiblings = async (t: Test): Promise<Scene> => {
  const network = await lab.startNetwork(t);
  const vpn = await startVpn(network, "vpn-a", "192.0.2.10", ["10.0.0.5"]);
  await startTarget(vpn.host, "10.0.0.5", 7000, "five");
  const onHost = async (name: string, host: string, address: string): Promise<Sibling> => {
    const pod = await network.addHost(host, address);
    lab.useClusterDns(pod);
    return { name, network: { ...network, pod, address }, endpoint: { address, isEnding: false } };
  };
  const a = { name: "gw", network, endpoint: { address: network.address, isEnding: false } };
  const b = await onHost("gw-b", "sibling", lab.siblingAddress);
  const successor = await onHost("gw", "successor", lab.successorAddress);
  return { vpn, a, b, successor, client: network.client, service: network };
};

/** A pod of a sibling, as its Deployment makes it. */
const startPod = (
  t: Test,
  { name, network }: Sibling,
  config: string,
  shell: ShellName,
  pod = `${name}-1`,
): LabGateway => {
  const env = { SELF: name, POD: pod, GATEWAY: "flowgen-gateway/gw", DRAIN_SECONDS: `${DRAIN_SECONDS}`, DRAIN: "0.5" };
  const gateway = startGateway(t, network, { shell, env });
  gateway.setSecret("wg0", config);
  gateway.setForwards("7000 10.0.0.5 7000 wg0");
  gateway.setSiblings("gw", "gw-b");
  for (const container of ["tunnel", "forward"] as const) gateway.start(container);
  return gateway;
};
const end = async (gateway: LabGateway): Promise<number> =>
  Math.max(...(await Promise.all([gateway.stop("tunnel", "SIGTERM"), gateway.stop("forward", "SIGTERM")])));

const isServed = (t: Test, what: string, { count, lost }: Visits, from = 0): void => {
  const within = lost.filter(({ at }) => at >= from);
  t.strictSame(within, [], `${what}: 0 of ${count} lost${lost.length > 0 ? ` (${lost.length} before)` : ""}`);
};

for (const shell of ["busybox", "dash"] as const) {
  void t.test(`siblings (${shell})`, async (t) => {
    const whole = t; // a pod outlives the step that starts it
    const { vpn, a, b, successor, client, service } = await startSiblings(t);
    const [keyA, keyB] = [keyPair(), keyPair()];
    admit(vpn, keyA.publicKey, "10.13.13.2");
    admit(vpn, keyB.publicKey, "10.13.13.3");
    const secretA = secret(vpn, keyA.privateKey, "10.13.13.2");
    let first = startPod(t, a, secretA, shell);
    const second = startPod(t, b, secret(vpn, keyB.privateKey, "10.13.13.3"), shell);
    await until("both are ready", () => first.isReady() && second.isReady());
    startService(t, service, [a.endpoint, b.endpoint, successor.endpoint]);
    const visits = (): ReturnType<typeof startVisits> =>
      startVisits((command) => startOn(client, command), { host: lab.serviceAddress, port: 7000, everyMs: EVERY_MS });

    await t.test("a pod ends, and its successor starts at once", async (t) => {
      const session = await startSession(a.network, 7000, { say: "last words", afterMs: 5_000, forMs: 5_500 });
      const visitors = visits();
      await sleep(1_000);
      a.endpoint.isEnding = true;
      const ended = end(first);
      const old = first;
      first = startPod(whole, successor, secretA, shell, "gw-2");
      await sleep(3_000);
      t.notOk(first.isReady(), "it waits for the pod before it");
      t.match(await first.log(), "tunnels: gw-1 has them until it ends");
      t.match(await session.heard, { text: "five\nlast words" }, "whose sessions go on to their end");
      const took = await ended;
      t.ok(took < (DRAIN_SECONDS + 4) * 1_000, `and which ends with them, ${took} ms`);
      t.match(await old.log(), "siblings serve, ends after");
      const back = await until("the successor is ready", () => first.isReady(), 5_000);
      t.ok(back < 4_000, `the successor is ready ${back} ms after the end`);
      await sleep(2_000);
      isServed(t, "who connects anew", await visitors.stop());
    });

    await t.test("another key, which the server knows beside the old one", async (t) => {
      const next = keyPair();
      admit(vpn, next.publicKey, "10.13.13.4");
      const visitors = visits();
      first.setSecret("wg0", secret(vpn, next.privateKey, "10.13.13.4"));
      await until("it leaves the Services", () => !first.isReady());
      await until("and comes back with the new key", () => first.isReady(), 15_000);
      t.match(
        run(vpn.host, "wg show wg0 latest-handshakes"),
        new RegExp(`${next.publicKey.replaceAll(/\W/g, ".")}\t[1-9]`),
        await first.log(),
      );
      await sleep(2_000);
      isServed(t, "who connects anew", await visitors.stop());
      t.equal(talk(successor.network, 7000).text, "five\n");
    });

    await t.test("both get another key at the same moment", async (t) => {
      const [nextA, nextB] = [keyPair(), keyPair()];
      admit(vpn, nextA.publicKey, "10.13.13.5");
      admit(vpn, nextB.publicKey, "10.13.13.6");
      const visitors = visits();
      first.setSecret("wg0", secret(vpn, nextA.privateKey, "10.13.13.5"));
      second.setSecret("wg0", secret(vpn, nextB.privateKey, "10.13.13.6"));
      const current = (): string => run(vpn.host, "wg show wg0 latest-handshakes");
      const isKnown = ({ publicKey }: { publicKey: string }): boolean =>
        new RegExp(`${publicKey.replaceAll(/\W/g, ".")}\t[1-9]`).test(current());
      await until("both keys are in use", () => isKnown(nextA) && isKnown(nextB), 40_000);
      await until("both are ready", () => first.isReady() && second.isReady(), 10_000);
      await sleep(2_000);
      isServed(t, "who connects anew: one waited for the other", await visitors.stop());
    });

    await t.test("the interface of one is held down", async (t) => {
      const visitors = visits();
      await sleep(500);
      const from = Date.now();
      const hold =
        "end=$(($(date +%s) + 7)); while [ $(date +%s) -lt $end ]; do ip link set wg0 down; sleep 0.05; done";
      await startOn(successor.network.pod, ["sh", "-c", hold]).ended;
      await until("ready again", () => first.isReady(), 5_000);
      isServed(t, "from 3 s after", await visitors.stop(), from + 3_000);
    });

    await t.test("the packets of one are not answered", async (t) => {
      const visitors = visits();
      await sleep(500);
      const from = Date.now();
      const cut = (how: "-I" | "-D"): void => {
        for (const way of ["-i successor -p udp --dport 51820", "-o successor -p udp --sport 51820"])
          run(service.node, `iptables ${how} FORWARD ${way} -j DROP`);
      };
      cut("-I");
      const took = await until("not ready", () => !first.isReady(), 40_000);
      t.comment(`reported after ${took} ms`);
      await sleep(3_000);
      const { count, lost } = await visitors.stop();
      t.comment(`${lost.length} of ${count} lost until then`);
      t.strictSame(
        lost.filter(({ at }) => at > from + took + 2_500),
        [],
        "no connection is lost after that",
      );
      cut("-D");
      await until("ready again", () => first.isReady(), 40_000);
    });

    await t.test("both end: no sibling is left, and the log says so", async (t) => {
      successor.endpoint.isEnding = b.endpoint.isEnding = true;
      const took = await Promise.all([end(first), end(second)]);
      t.ok(Math.max(...took) < (DRAIN_SECONDS + 4) * 1_000, `within the bound, ${took.join(" and ")} ms`);
      t.match((await first.log()) + (await second.log()), "siblings alone did not answer through the Service");
    });
    t.equal(lab.leaks(service), 0, "nothing left by the pod's own network");
  });
}
