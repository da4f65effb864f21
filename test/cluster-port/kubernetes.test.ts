import { renameSync, writeFileSync } from "node:fs";
import { collected } from "../collected.ts";
import type { RequestListener } from "node:http";
import { TLSSocket } from "node:tls";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Cluster, isConflict, isDeadline, isTransient, type Ref } from "../../src/cluster/cluster.ts";
import { connect, type ConnectOptions } from "../../src/cluster/kubernetes.ts";
import { serviceAccount } from "../../src/cluster/service-account.ts";
import { authority } from "./authority.ts";
import { configMap, contract, fails, lateSignal } from "./contract.ts";
import { writeKubeconfig, listen, type Loopback, overMemory, reply, status } from "./loopback.ts";
import { setEnv } from "../environment.ts";

const ref: Ref = { kind: "ConfigMap", namespace: "team-a", name: "a" };
const object = configMap("team-a", "a", { k: "v" });
const ok: RequestListener = (_, response) => {
  reply(response, 200, object);
};

type Started = { readonly cluster: Cluster; readonly server: Loopback; readonly calls: (readonly unknown[])[] };

/** A server that answers so, and a cluster that is connected to it over plain HTTP. */
const start = async (t: Test, answer: RequestListener, options: ConnectOptions = {}): Promise<Started> => {
  const server = await listen(answer);
  t.teardown(server.close);
  const calls: (readonly unknown[])[] = [];
  const path = writeKubeconfig(t, { server: server.url, "insecure-skip-tls-verify": true });
  const onCall = (...call: readonly [string, string, number, number]): void => void calls.push(call);
  return { server, calls, cluster: await connect("kubeconfig", { kubeconfigPath: path, onCall, ...options }) };
};

contract(t, "memory behind HTTP", async () => {
  const { memory, answer } = overMemory();
  const { server, cluster } = await start(t, answer);
  return {
    cluster,
    namespace: "contract",
    editAs: (manager, ref, change) => Promise.resolve(memory.edit(manager, ref, change)),
    remove: (ref) => Promise.resolve(void memory.remove(ref)),
    done: server.close,
  };
});

void t.test(
  "live pods: metadata alone, page after page; a listing whose continue token is too old begins anew",
  async (t) => {
    const asked: string[] = [];
    let isExpired = true;
    const pods = (...names: readonly string[]) => names.map((name) => ({ metadata: { name, namespace: "team-a" } }));
    const { cluster } = await start(t, ({ url = "", headers }, response) => {
      const { pathname, searchParams } = new URL(url, "http://loopback");
      t.equal(headers.accept, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
      t.equal(pathname, "/api/v1/pods");
      t.equal(searchParams.get("labelSelector"), "a=b,flowgen.io/gateway");
      t.equal(searchParams.get("fieldSelector"), "status.phase!=Succeeded,status.phase!=Failed");
      const token = searchParams.get("continue") ?? "";
      asked.push(token);
      if (token === "") reply(response, 200, { metadata: { continue: "two" }, items: pods("a", "b") });
      else if (token === "two") reply(response, 200, { metadata: { continue: "three" }, items: pods("c") });
      else if (isExpired) {
        isExpired = false;
        reply(response, 410, status(410, "Expired", "The provided continue parameter is too old"));
      } else reply(response, 200, { metadata: {}, items: pods("d") });
    });
    const names = async (): Promise<readonly (string | undefined)[]> =>
      (await collected(cluster.livePods("a=b,flowgen.io/gateway", lateSignal()))).map(({ name }) => name);
    t.strictSame(await names(), ["a", "b", "c", "a", "b", "c", "d"]);
    t.strictSame(asked, ["", "two", "three", "", "two", "three"]);
    const { cluster: empty } = await start(t, (_, response) =>
      reply(response, 200, { kind: "PartialObjectMetadataList", metadata: {}, items: null }),
    );
    t.strictSame(
      await collected(empty.livePods("a", lateSignal())),
      [],
      "as the API server writes an empty list of metadata",
    );
    const { cluster: gone } = await start(t, (_, response) => reply(response, 410, status(410, "Expired", "too old")));
    await fails(t, collected(gone.livePods("a", lateSignal())), 410, "Expired");
  },
);

void t.test("one socket for all calls, and every call is reported", async (t) => {
  const { cluster, server, calls } = await start(t, ok);
  for (let count = 0; count < 20; count++) await cluster.get(ref, lateSignal());
  await cluster.apply(object, lateSignal());
  t.equal(server.sockets(), 1);
  t.equal(calls.length, 21);
  t.match(calls[0], ["get", "ConfigMap", 200, Number]);
  t.match(calls[20], ["apply", "ConfigMap", 200, Number]);
});

void t.test("a deadline ends a call at once, and the next one works", async (t) => {
  let stall = true;
  const { cluster, calls } = await start(t, (_, response) => {
    if (stall)
      response.writeHead(200).write('{"half":'); // an answer that never ends
    else reply(response, 200, object);
  });
  const late = new AbortController();
  setTimeout(() => {
    late.abort();
  }, 30);
  const error = await fails(t, cluster.apply(object, late.signal), 0, "DeadlineExceeded");
  t.ok(isDeadline(error) && !isTransient(error));
  t.match(calls, [["apply", "ConfigMap", 0, Number]]);
  stall = false;
  t.match(await cluster.get(ref, lateSignal()), { data: { k: "v" } });
});

void t.test("failures in the API server's own words", async (t) => {
  const denial = 'configmaps "a" is forbidden: User "system:serviceaccount:x:y" cannot get resource "configmaps"';
  let answer: (response: Parameters<RequestListener>[1]) => void;
  const { cluster } = await start(t, (_, response) => {
    answer(response);
  });
  answer = (response) => {
    reply(response, 403, status(403, "Forbidden", denial));
  };
  const denied = await fails(t, cluster.get(ref, lateSignal()), 403, "Forbidden");
  t.equal(denied.message, `cannot get configmaps team-a/a: ${denial} (403 Forbidden)`);
  t.notOk(isTransient(denied) || isConflict(denied));
  answer = (response) => {
    reply(response, 429, status(429, "TooManyRequests", "slow down", { retryAfterSeconds: 9 }), { "retry-after": "2" });
  };
  const busy = await fails(t, cluster.list("Pod", "", {}, lateSignal()), 429, "TooManyRequests");
  t.equal(busy.retryAfterMs, 2000);
  t.ok(isTransient(busy));
  t.match(busy.message, "cannot list pods: slow down");
  answer = (response) => {
    reply(response, 500, status(500, "ServerTimeout", "later", { retryAfterSeconds: 1 }));
  };
  t.equal((await fails(t, cluster.create(object, lateSignal()), 500, "ServerTimeout")).retryAfterMs, 1000);
  answer = (response) => {
    reply(response, 404, "404 page not found");
  };
  const stranger = await fails(t, cluster.get(ref, lateSignal()), 404, "Unknown");
  t.match(stranger.message, '"404 page not found"');
  t.equal(stranger.retryAfterMs, undefined);
  answer = (response) => {
    reply(response, 200, "<html>");
  };
  await fails(t, cluster.get(ref, lateSignal()), 200, "Unknown");
});

void t.test("an object that the API server cannot read is the sender's mistake, and no retry mends it", async (t) => {
  const { cluster } = await start(t, (_, response) => {
    const says =
      "failed to create typed patch object (team-a/a; v1, Kind=ConfigMap): .dat: field not declared in schema";
    reply(response, 500, { ...(status(500, "", says) as object), reason: undefined });
  });
  const error = await fails(t, cluster.apply(object, lateSignal()), 422, "Invalid");
  t.match(error.message, /field not declared in schema/);
  t.notOk(isTransient(error));
});

void t.test("no answer is code 0 Unreachable", async (t) => {
  const cut = await start(t, (_, response) => {
    response.writeHead(200, { "content-length": "100" }).write("{");
    setImmediate(() => response.destroy());
  });
  const error = await fails(t, cut.cluster.apply(object, lateSignal()), 0, "Unreachable");
  t.ok(isTransient(error));
  t.match(cut.calls, [["apply", "ConfigMap", 0, Number]]);
  await cut.server.close();
  const refused = await fails(t, cut.cluster.get(ref, lateSignal()), 0, "Unreachable");
  t.match(refused.message, `${cut.server.url}: connect ECONNREFUSED`);
});

void t.test(
  "a kept connection that the server dropped silently costs one short try, with any number of them",
  async (t) => {
    const silent = new Set<unknown>();
    const seen = new Set<unknown>();
    const { cluster, calls } = await start(
      t,
      ({ socket }, response) => {
        seen.add(socket);
        if (!silent.has(socket)) setTimeout(() => reply(response, 200, object), 20);
      },
      { tryMs: { kept: 100, fresh: 3000 } },
    );
    await Promise.all(Array.from({ length: 5 }, () => cluster.get(ref, lateSignal())));
    t.equal(seen.size, 5);
    seen.forEach((socket) => silent.add(socket));
    const error = await fails(t, cluster.get(ref, lateSignal()), 0, "Unreachable");
    t.match(error.message, /no answer within 100 ms/);
    t.ok(isTransient(error) && !isDeadline(error));
    t.match(await cluster.get(ref, lateSignal()), { data: { k: "v" } });
    t.equal(calls.length, 7);
    t.equal(seen.size, 6);
  },
);

void t.test("a new connection that is not answered has its limit too", async (t) => {
  const { cluster } = await start(t, () => undefined, { tryMs: { kept: 3000, fresh: 100 } });
  t.match((await fails(t, cluster.apply(object, lateSignal()), 0, "Unreachable")).message, /no answer within 100 ms/);
});

void t.test("an answer that is no object of an API server", async (t) => {
  let body: unknown;
  const { cluster } = await start(t, (_, response) => {
    reply(response, 200, body);
  });
  for (body of ["null", "5", '"x"', "[]", "{}", '{"metadata":null}', '{"items":[]}']) {
    await fails(t, cluster.get(ref, lateSignal()), 200, "Unknown");
    await fails(t, cluster.apply(object, lateSignal()), 200, "Unknown");
  }
  for (body of ["null", "[]", "{}", '{"metadata":{}}', '{"items":null}', '{"items":[null]}', '{"items":[{}]}'])
    await fails(t, cluster.list("Pod", "", {}, lateSignal()), 200, "Unknown");
  body = { items: [] };
  t.strictSame(await cluster.list("Pod", "", {}, lateSignal()), []);
});

void t.test("TLS: CA, client certificate and a path before the API; another CA is refused", async (t) => {
  const { ca, issue } = await authority();
  const serving = await issue("127.0.0.1");
  const seen: unknown[] = [];
  const server = await listen(
    (request, response) => {
      const { socket } = request;
      seen.push([socket instanceof TLSSocket && socket.getPeerCertificate().subject.CN, request.url]);
      reply(response, 200, object);
    },
    { ...serving, ca, requestCert: true, rejectUnauthorized: true },
  );
  t.teardown(server.close);
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const client = await issue("webhook");
  const user = { "client-certificate-data": base64(client.cert), "client-key-data": base64(client.key) };
  const url = `${server.url}/k8s/clusters/c-1/`;
  const trusting = writeKubeconfig(t, { server: url, "certificate-authority-data": base64(ca) }, user);
  const cluster = await connect("kubeconfig", { kubeconfigPath: trusting });
  await cluster.get(ref, lateSignal());
  await cluster.get(ref, lateSignal());
  t.equal(server.sockets(), 1);
  t.strictSame(seen[1], ["webhook", "/k8s/clusters/c-1/api/v1/namespaces/team-a/configmaps/a"]);

  const other = await authority();
  const wary = writeKubeconfig(t, { server: url, "certificate-authority-data": base64(other.ca) }, user);
  const error = await fails(
    t,
    (await connect("kubeconfig", { kubeconfigPath: wary })).get(ref, lateSignal()),
    0,
    "Unreachable",
  );
  t.match(error.message, /certificate/);
});

/** A pod's files, and the variables with the server's address. */
const inPod = (
  t: Test,
  { url }: Pick<Loopback, "url">,
  ca: string,
): { root: string; write: (name: string, text: string) => void } => {
  const root = t.testdir({
    var: { run: { secrets: { "kubernetes.io": { serviceaccount: { "ca.crt": ca, token: "one\n" } } } } },
  });
  const { hostname, port } = new URL(url);
  setEnv(t, { ...process.env, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port });
  const path = (name: string) => join(root, "var/run/secrets/kubernetes.io/serviceaccount", name);
  // By a rename, as the kubelet replaces files.
  const write = (name: string, text: string): void => {
    writeFileSync(path(`${name}.new`), text);
    renameSync(path(`${name}.new`), path(name));
  };
  return { root, write };
};

void t.test("in a pod", async (t) => {
  const { ca, issue } = await authority();
  const serving = await issue("127.0.0.1");
  await contract(t, "memory behind HTTPS, by a ServiceAccount's files", async () => {
    const { memory, answer } = overMemory();
    const server = await listen(answer, serving);
    const { root } = inPod(t, server, ca);
    return {
      cluster: await connect("in-cluster", { root }),
      namespace: "contract",
      editAs: (manager, ref, change) => Promise.resolve(memory.edit(manager, ref, change)),
      remove: (ref) => Promise.resolve(void memory.remove(ref)),
      done: server.close,
    };
  });
});

void t.test("in a pod: each request has the token of that moment", async (t) => {
  const { ca, issue } = await authority();
  const tokens: unknown[] = [];
  const server = await listen(
    (request, response) => {
      tokens.push(request.headers.authorization);
      reply(response, 200, object);
    },
    await issue("127.0.0.1"),
  );
  t.teardown(server.close);
  const { root, write } = inPod(t, server, ca);
  const cluster = await connect("in-cluster", { root });
  await cluster.get(ref, lateSignal());
  write("token", "two");
  await cluster.get(ref, lateSignal());
  write("token", ""); // a disk that is full, for a moment
  await cluster.get(ref, lateSignal());
  t.strictSame(tokens, ["Bearer one", "Bearer two", "Bearer two"]);
  t.equal(server.sockets(), 1);
});

void t.test("in a pod: a server of another CA gets no request, and gets them after the CA has changed", async (t) => {
  const [{ issue, ca }, other] = [await authority(), await authority("other")];
  const server = await listen(ok, await issue("127.0.0.1"));
  t.teardown(server.close);
  const { root, write } = inPod(t, server, other.ca);
  const cluster = await connect("in-cluster", { root });
  t.match((await fails(t, cluster.get(ref, lateSignal()), 0, "Unreachable")).message, /certificate/);
  t.equal(server.sockets(), 0);
  write("ca.crt", `${other.ca}\n${ca}`);
  t.match(await cluster.get(ref, lateSignal()), { data: { k: "v" } });
});

void t.test("no pod, or one that lacks a variable or a file", async (t) => {
  const { ca } = await authority();
  const { root, write } = inPod(t, { url: "https://127.0.0.1:1" }, ca);
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port, ...others } = process.env;
  await t.rejects(connect("in-cluster", { root: join(root, "none") }), { code: "ENOENT" });
  write("token", " \n");
  await t.rejects(connect("in-cluster", { root }), /token is empty/);
  setEnv(t, { ...others, KUBERNETES_SERVICE_PORT: port });
  await t.rejects(connect("in-cluster", { root }), /not in a cluster: KUBERNETES_SERVICE_HOST is not set/);
  setEnv(t, { ...others, KUBERNETES_SERVICE_HOST: host });
  await t.rejects(connect("in-cluster", { root }), /KUBERNETES_SERVICE_PORT is not set/);
});

void t.test("in a pod of an IPv6 cluster", async (t) => {
  setEnv(t, { ...process.env, KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" });
  t.equal(serviceAccount().server, "https://[fd00::1]:443");
});

void t.test("a configuration that cannot serve is refused at once", async (t) => {
  const nowhere = join(t.testdir({}), "none");
  await t.rejects(connect("kubeconfig", { kubeconfigPath: nowhere }), { code: "ENOENT" });
  const missing = writeKubeconfig(t, { server: "https://127.0.0.1:1", "certificate-authority": "/nowhere/ca.crt" });
  await t.rejects(connect("kubeconfig", { kubeconfigPath: missing }), { code: "ENOENT" });
  const plain = writeKubeconfig(t, { server: "http://127.0.0.1:1" });
  await t.rejects(connect("kubeconfig", { kubeconfigPath: plain }), /HTTP protocol is not allowed/);
  const path = t.testdir({ kubeconfig: "apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\n" });
  setEnv(t, { ...process.env, KUBECONFIG: join(path, "kubeconfig") });
  await t.rejects(connect("kubeconfig"), /no current context/);
});
