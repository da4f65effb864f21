// A Service of a cluster, played on the lab's node. Each second the pods are probed, as by the kubelet. New connections
// to the Service's address go to a random ready pod, as by kube-proxy's rules. A pod with a deletion timestamp is not
// ready, with any answer. Where no pod is ready, ending pods that still answer get the connections (EndpointSlices call
// that `serving`).
import { READY_PORT } from "../../../src/core/forwards/ports.ts";
import { tryRun, run } from "./hosts.ts";
import { serviceAddress, type Network } from "./network.ts";

export type ServiceEndpoint = { readonly address: string; isEnding: boolean };
type Test = { readonly teardown: (handler: () => Promise<void>) => unknown };

const PERIOD_MS = 1_000;

/** Keeps the Service leading to these endpoints until the test ends; they may be marked as ending. */
export const startService = (t: Test, network: Network, endpoints: readonly ServiceEndpoint[]): void => {
  run(network.node, "iptables -t nat -N SERVICE");
  for (const chain of ["PREROUTING", "OUTPUT"])
    run(network.node, `iptables -t nat -A ${chain} -d ${serviceAddress} -j SERVICE`);
  // An answer of a pod to itself comes back by the node, as with a bridge in hairpin mode.
  for (const { address } of endpoints)
    run(network.node, `iptables -t nat -A POSTROUTING -s ${address} -d ${address} -j MASQUERADE`);
  run(network.node, `iptables -A FORWARD -d ${serviceAddress} -p tcp -j REJECT --reject-with tcp-reset`);
  const isServing = ({ address }: ServiceEndpoint): boolean =>
    tryRun(network.node, `socat -u OPEN:/dev/null TCP4:${address}:${READY_PORT},connect-timeout=0.5`).status === 0;
  const follow = (): void => {
    const serving = endpoints.filter(isServing);
    const ready = serving.filter(({ isEnding }) => !isEnding);
    const used = ready.length > 0 ? ready : serving;
    const rules = used.map(
      ({ address }, index) =>
        `-A SERVICE -p tcp -m statistic --mode random --probability ${1 / (used.length - index)} -j DNAT --to-destination ${address}`,
    );
    const input = ["*nat", ":SERVICE - [0:0]", ...rules, "COMMIT", ""].join("\n");
    run(network.node, "iptables-restore --noflush", { input });
  };
  follow();
  const timer = setInterval(follow, PERIOD_MS);
  t.teardown(async () => {
    clearInterval(timer);
    await Promise.resolve();
  });
};
