// Pods by the hundred, each of which wants a target.
import { flowgenPod, targets } from "./scene.ts";

export type Wish = { readonly name: string; readonly host: string; readonly port: number };

/** Where they are created, and listed. */
export const PODS_PATH = "/api/v1/namespaces/default/pods";
/** The env that hold a pod's target are `<ENV>_HOST` and `<ENV>_PORT`. */
export const ENV = "DB";

/**
 * Every so many-th target wants port 1433: its host then has a Service of its own, of which a gateway has 100 at most.
 */
const EVERY = 20;

/** `count` wishes; `targetOf` says for each which of very many targets it wants. */
export const wishFor = (count: number, name: string, targetOf: (index: number) => number): readonly Wish[] =>
  Array.from({ length: count }, (_, index) => {
    const target = targetOf(index);
    const host = `10.${target >> 16}.${(target >> 8) & 255}.${target & 255}`;
    return { name: `${name}-${index}`, host, port: target % EVERY === 0 ? 1433 : 2000 + (target % 60_000) };
  });

/** The pod, in the namespace default. */
export const wishedPod = ({ name, host, port }: Wish) =>
  flowgenPod("default", name, targets(`db=${host}:${port}`), { [`${ENV}_HOST`]: host, [`${ENV}_PORT`]: String(port) });
