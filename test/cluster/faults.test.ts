// An API server in trouble, seen from the webhook: a clear answer within the request's deadline, then recovery without
// help. The forward table's invariants hold all the time.
import { createPrivateKey, sign } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { connectTo } from "../lab/control-plane/api.ts";
import { type Fate, type Fault, healthy, startFaultyApiServer } from "../lab/control-plane/faulty-api-server.ts";
import { type GatewayRecord, recordGateway, violations } from "../lab/control-plane/gateway-record.ts";
import { type MutateAnswer, mutate } from "../lab/control-plane/mutate.ts";
import { GATEWAY, ONE_TUNNEL, startScene } from "../lab/control-plane/scene.ts";
import type { User, Webhook } from "../lab/control-plane/webhook.ts";
import { wishedPod, PODS_PATH, wishFor } from "../lab/control-plane/wishes.ts";
import { eventually } from "../wait.ts";

const SECONDS = 5;

const { controlPlane, installed, kubectl } = await startScene(t, { controllerManager: false, config: ONE_TUNNEL });
const faulty = await startFaultyApiServer(controlPlane);
t.teardown(faulty.close);
const tokenFile = join(controlPlane.folder, "token");
const account = "flowgen-gateway-webhook";
const token = (await kubectl(["create", "token", account, `--namespace=${account}`])).trim();
await writeFile(tokenFile, token, { mode: 0o600 });
const userOf = (file: string): User => ({ "auth-provider": { name: "tokenFile", config: { tokenFile: file } } });
const kubeconfig = await installed.kubeconfigFor("faulty.kubeconfig", faulty.url, userOf(tokenFile), faulty.ca);
const webhook = await installed.start({ kubeconfig });
t.teardown(webhook.stop);
const api = connectTo(controlPlane);
t.teardown(api.close);

let targets = 0;
/** A pod with a new target. */
const newPod = (): object => wishFor(1, `pod-${targets}`, () => targets++).map(wishedPod)[0] ?? {};
const ask = ({ url }: Webhook = webhook): Promise<MutateAnswer> => mutate(url, installed.ca, newPod(), SECONDS);

/** The API server makes a pod with a new target, which is redirected. All objects are, and were, as they should be. */
const recovers = async (t: Test, record: GatewayRecord): Promise<void> => {
  const { status, body } = await api.ask("POST", PODS_PATH, newPod());
  t.match({ status, message: body["message"] }, { status: 201, message: undefined }, "the next pod is admitted");
  await record.settled();
  t.strictSame(violations(record, [body]), []);
};
/** Names the fault before the API server stops waiting. */
const isClear = (t: Test, { status, message, ms, isAllowed }: MutateAnswer, said: RegExp): void => {
  t.match({ status, message, isAllowed }, { status: /^50[34]$/, message: said, isAllowed: false });
  t.ok(ms < SECONDS * 1000, `an answer after ${ms.toFixed(0)} ms`);
};

const answer = (status: number, headers?: Readonly<Record<string, string>>): Fate => ({
  kind: "answer",
  status,
  ...(headers && { headers }),
});
const isWrite = (method: string): boolean => method === "PATCH";
/** The first `count` writes. */
const writes = (count: number, fate: Fate): Fault => {
  let left = count;
  return (method) => (isWrite(method) && left-- > 0 ? fate : { kind: "pass" });
};
const requests =
  (count: number, fate: Fate): Fault =>
  (_method, _path, number) =>
    number <= count ? fate : { kind: "pass" };

/** Over before the deadline: the pod that meets it is admitted all the same. */
const passing: readonly (readonly [what: string, fault: Fault])[] = [
  ["409 for every write, six times", writes(6, answer(409))],
  ["429 with Retry-After for all", requests(3, answer(429, { "retry-after": "1" }))],
  ["500 for all", requests(10, answer(500))],
  ["503 for every write, six times", writes(6, answer(503))],
  ["the table's write takes effect, its answer is cut", writes(1, { kind: "cut" })],
  ["four writes take effect, their answers are cut", writes(4, { kind: "cut" })],
  ["connections are reset", requests(8, { kind: "reset" })],
  ["the table's write takes effect and stalls for 5 s", writes(1, { kind: "stall", ms: 5000 })],
];
/** Longer than a request may wait: the answer names the fault. */
const lasting: readonly (readonly [what: string, fault: Fault, said: RegExp])[] = [
  ["a storm of 409", writes(Infinity, answer(409)), /cannot apply configmaps .*409 Conflict/],
  ["429 with Retry-After: 30", requests(Infinity, answer(429, { "retry-after": "30" })), /429 TooManyRequests/],
  ["500 for all", requests(Infinity, answer(500)), /500 InternalError/],
  ["every write takes effect and stalls for 5 s", writes(Infinity, { kind: "stall", ms: 5000 }), /before the deadline/],
  ["every connection is reset", requests(Infinity, { kind: "reset" }), /Unreachable/],
];

/** The token as it would be after its time. */
const expiredToken = async (): Promise<string> => {
  const [head = "", body = ""] = token.split(".");
  const past = Math.floor(Date.now() / 1000) - 3600;
  const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as object;
  const old = JSON.stringify({ ...claims, iat: past, nbf: past, exp: past + 600 });
  const text = `${head}.${Buffer.from(old).toString("base64url")}`;
  const key = createPrivateKey(await readFile(join(controlPlane.folder, "credentials", "tokens.key")));
  return `${text}.${sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
};

const record = await recordGateway(api);
const expiring = join(controlPlane.folder, "expiring");
await writeFile(expiring, await expiredToken(), { mode: 0o600 });
const late = await installed.start({
  kubeconfig: await installed.kubeconfigFor("expiring.kubeconfig", controlPlane.url, userOf(expiring)),
  port: 0,
});
t.teardown(late.stop);

t.test("an expired token: a clear answer", async (t) => {
  isClear(t, await ask(late), /401 Unauthorized/);
  await writeFile(expiring, token, { mode: 0o600 });
});

t.test("without a fault", (t) => recovers(t, record));

for (const [what, fault] of passing) {
  t.test(`${what}, for a moment: the pod is admitted`, async (t) => {
    faulty.set(fault);
    const { ms, ...admitted } = await ask();
    t.match(admitted, { status: 200, isAllowed: true, operations: [{}], message: "" });
    t.comment(`after ${ms.toFixed(0)} ms and ${faulty.count()} requests`);
    faulty.set(healthy);
    await recovers(t, record);
  });
}

for (const [what, fault, said] of lasting) {
  t.test(`${what}: a clear answer within the deadline, and recovery`, async (t) => {
    faulty.set(fault);
    isClear(t, await ask(), said);
    t.ok(faulty.count() < 100, `${faulty.count()} requests: it does not hammer`);
    faulty.set(healthy);
    await recovers(t, record);
  });
}

t.test("denied by RBAC: the message names verb and resource", async (t) => {
  const rules = async (): Promise<readonly object[]> => {
    const role = await kubectl(["get", "role", account, `--namespace=${GATEWAY.namespace}`, "-o", "json"]);
    return (JSON.parse(role) as { rules: readonly object[] }).rules;
  };
  const set = (to: readonly object[]): Promise<string> => {
    const patch = JSON.stringify([{ op: "replace", path: "/rules", value: to }]);
    return kubectl(["patch", "role", account, `--namespace=${GATEWAY.namespace}`, "--type=json", "-p", patch]);
  };
  const before = await rules();
  await set([]);
  const denied = await eventually("a pod is refused", 20_000, async () => {
    const admitted = await ask();
    return admitted.isAllowed ? undefined : admitted;
  });
  isClear(t, denied, /cannot get \w+ \S+: .*cannot get resource "\w+" in API group "[\w.]*" .*403 Forbidden/);
  await set(before);
  await eventually("a pod is let through again", 20_000, async () => (await ask()).isAllowed || undefined);
  await recovers(t, record);
});

// The file is read again every minute; a kubelet renews a token long before its time.
t.test("the expired token, renewed meanwhile: recovery", async (t) => {
  const end = performance.now() + 70_000;
  let admitted = await ask(late);
  while (!admitted.isAllowed && performance.now() < end) {
    await sleep(1000);
    admitted = await ask(late);
  }
  t.match(admitted, { isAllowed: true, operations: [{}] });
});

for (const component of ["kube-apiserver", "etcd"] as const) {
  t.test(`${component} crashes and comes back: a clear answer meanwhile, and recovery`, async (t) => {
    await controlPlane.kill(component);
    isClear(t, await ask(), component === "etcd" ? /deadline|50\d/ : /Unreachable/);
    await controlPlane.restart(component);
    await recovers(t, await recordGateway(api));
  });
}
