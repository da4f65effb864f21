/** The shipped bundle is the tested one: it runs in a folder with the files of a build alone. */
import { execFile } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { join } from "node:path";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import t from "tap";
import { version } from "../src/files.ts";
import { TLSSocket } from "node:tls";
import { authority } from "./cluster-port/authority.ts";
import { writeKubeconfig, listen, overMemory } from "./cluster-port/loopback.ts";
import { readDockerfile, type Step } from "./lab/image/dockerfile.ts";
import { plainEnv, root, startProgram, unhooked } from "./program.ts";
import { admitAt, review } from "./server/client.ts";

/** Go's collector costs a third of a build's time. */
const env = { ...plainEnv(), GOGC: "off" };
const run = (cwd: string, args: readonly string[], more: NodeJS.ProcessEnv = {}) => {
  return promisify(execFile)(...unhooked(process.execPath, ...args), { cwd, env: { ...env, ...more } });
};
const node = (cwd: string, ...args: readonly string[]) => run(cwd, args);
const contents = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(folder.length), readFileSync(path, "utf8")]),
  );

t.test("the bundle, in a folder without node_modules", async (t) => {
  const folder = t.testdir({ empty: {} });
  const [dist, empty] = [join(folder, "dist"), join(folder, "empty")];
  const main = join(dist, "main.js");
  await node(root, join(root, "build.ts"), dist);
  cpSync(join(root, "examples"), join(folder, "examples"), { recursive: true });

  t.test("two builds in different folders are the same bytes", async (t) => {
    await node(empty, join(root, "build.ts"), join(folder, "again"));
    t.strictSame(contents(join(folder, "again")), contents(dist));
  });
  t.test("holds the gateway's scripts and every licence of what is bundled", async (t) => {
    t.strictSame(contents(join(dist, "gateway")), contents(join(root, "src/gateway")));
    const licences = readFileSync(join(dist, "third-party-licences.txt"), "utf8");
    t.match(licences, /fastify [\d.]+ \(MIT\)\n\n[^-]*Copyright/);
    t.match(licences, /@kubernetes\/client-node [\d.]+ \(Apache-2.0\)/);
  });
  t.test("the bill of materials names what is bundled, each with its licence", async (t) => {
    type Component = { name: string; version: string; purl: string; licenses: { expression: string }[] };
    type Bom = { bomFormat: string; specVersion: string; components: Component[]; metadata: { component: Component } };
    const text = readFileSync(join(dist, "sbom.cdx.json"), "utf8");
    const schema = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
    t.equal(await schema.validate(text), null, "as the schema of CycloneDX has it");
    const bom = JSON.parse(text) as Bom;
    t.match(bom, { bomFormat: "CycloneDX", specVersion: "1.6", metadata: { component: { version } } });
    const licences = readFileSync(join(dist, "third-party-licences.txt"), "utf8");
    for (const { name, version: its, licenses } of bom.components)
      t.ok(licences.includes(`${name} ${its} (${licenses[0]?.expression})`), name);
    const { purl } = bom.components.find(({ name }) => name === "@kubernetes/client-node") ?? {};
    t.match(purl, /^pkg:npm\/%40kubernetes\/client-node@[\d.]+$/);
    t.notOk(bom.components.some(({ name }) => ["undici", "ajv", "tap", "esbuild"].includes(name)));
  });
  t.test("a kubeconfig: token, CA, client certificate and exec plugin, from the bundle", async (t) => {
    const { ca, issue } = await authority();
    const seen: string[] = [];
    const { answer } = overMemory();
    const server = await listen(
      (request, response) => {
        const { socket, headers } = request;
        const isNamed = socket instanceof TLSSocket && "subject" in socket.getPeerCertificate();
        seen.push(`${isNamed ? "certificate" : "none"} ${headers.authorization ?? "none"}`);
        answer(request, response);
      },
      { ...(await issue("127.0.0.1")), ca, requestCert: true, rejectUnauthorized: false },
    );
    t.teardown(server.close);
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const client = await issue("caller");
    const credential = {
      apiVersion: "client.authentication.k8s.io/v1",
      kind: "ExecCredential",
      status: { token: "made" },
    };
    const users = [
      { token: "given" },
      { "client-certificate-data": base64(client.cert), "client-key-data": base64(client.key) },
      { exec: { apiVersion: credential.apiVersion, command: "echo", args: [JSON.stringify(credential)] } },
    ];
    for (const user of users) {
      const path = writeKubeconfig(t, { server: server.url, "certificate-authority-data": base64(ca) }, user);
      const config = ["--config", join(root, "examples/webhook-config.yaml"), "--cluster", "kubeconfig"];
      await run(empty, [main, "audit", "-f", join(root, "examples/flowgen-cronjob.yaml"), ...config], {
        KUBECONFIG: path,
      });
    }
    t.strictSame([...new Set(seen)], ["none Bearer given", "certificate none", "none Bearer made"]);
  });
  t.test("a server starts from few files, and no other command loads them", async (t) => {
    const texts = contents(`${dist}/`);
    const codeOf = (file: string): string => (texts[file] ?? "").replaceAll(/\\?\n/g, "");
    const loadedBy = (name: RegExp): readonly string[] => {
      const files = new Set(Object.keys(texts).filter((file) => name.test(file)));
      for (const file of files)
        for (const [, next = ""] of codeOf(file).matchAll(/(?<!__toESM\()require\("\.\/([^"]+)"\)/g)) files.add(next);
      return [...files];
    };
    const server = loadedBy(/^(program|serve-\w+|kubernetes-\w+)\.cjs$/);
    t.ok(server.length <= 16, server.join(" "));
    const holdsFastify = (file: string): boolean => codeOf(file).includes("node_modules/fastify/fastify.js");
    t.ok(server.some(holdsFastify));
    const unused = /require\("(node:)?(http2|child_process|worker_threads|zlib)"\)/;
    t.notOk(server.map(codeOf).some((code) => unused.test(code)));
    for (const command of [/^program\.cjs$/, /^any-\w+\.cjs$/, /^inject-\w+\.cjs$/, /^check-\w+\.cjs$/])
      t.notOk(loadedBy(command).some(holdsFastify), String(command));
  });
  t.test("demo, version", async (t) => {
    t.match((await node(empty, main, "demo")).stdout, "All as it should be");
    t.equal((await node(empty, main, "--version")).stdout, `${version}\n`);
  });
  t.test("an older Node: a sentence", async (t) => {
    const older =
      'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.20.0"}})';
    await t.rejects(node(empty, `--import=${older}`, main, "--version"), {
      code: 2,
      stderr: "flowgen-gateway: needs Node 22.19 or newer, and this is Node 20.20.0\n",
    });
  });
  t.test("the function answers an event", async (t) => {
    const script = `const { handler } = await import(process.argv[1]); console.log(JSON.stringify(await handler(JSON.parse(process.argv[2]), {})));`;
    const token = "0123456789abcdef".repeat(4);
    const event = readFileSync(join(root, "test/fixtures/function/function-url.json"), "utf8").replaceAll(
      "TOKEN",
      token,
    );
    const args = ["--input-type=module", "-e", script, join(dist, "function.js")];
    const settings = {
      FLOWGEN_GATEWAY_CONFIG: join(root, "examples/webhook-config.yaml"),
      FLOWGEN_GATEWAY_CLUSTER: "memory",
      FLOWGEN_GATEWAY_PATH_TOKEN: token,
    };
    const sent = JSON.stringify({
      ...JSON.parse(event.replace("LENGTH", String(Buffer.byteLength(review)))),
      body: review,
    });
    const { stdout } = await run(empty, [...args, sent], settings);
    const lines = stdout.trim().split("\n");
    const said = lines.map((line) => JSON.parse(line) as { readonly msg?: string });
    const answer = said.find((line) => "statusCode" in line);
    const log = said.find(({ msg }) => msg === "admission");
    t.match(answer, { statusCode: 200, body: /"patch"/ });
    t.match(log, { msg: "admission", reason: "injected" });
  });
  t.test("inject", async (t) => {
    const config = ["--config", join(root, "examples/webhook-config.yaml")];
    const manifests = t.testdir({
      "pod.yaml": `kind: Pod\nmetadata: {name: a, namespace: team-a, labels: {app.kubernetes.io/name: flowgen}, annotations: {flowgen.io/private-targets: "db=10.0.0.5:1433"}}\nspec: {containers: [{name: a}]}\n`,
    });
    const { stdout } = await node(empty, main, "inject", "-f", join(manifests, "pod.yaml"), "--gateway", ...config);
    t.match(stdout, /DB_HOST[^]*kind: Deployment/);
    t.match(stdout, readFileSync(join(root, "src/gateway/probe.sh"), "utf8").split("\n")[1] ?? "none");
  });
  t.test("serve", async (t) => {
    const ports = ["--host", "127.0.0.1", "--port", "0", "--metrics-port", "0", "--drain-seconds", "0"];
    const config = ["--cluster", "memory", "--plain-http", "--config", join(root, "examples/webhook-config.yaml")];
    const program = startProgram([main, "serve", ...config, ...ports], { cwd: empty });
    t.teardown(() => program.child.kill("SIGKILL"));
    const { url } = await program.serving();
    t.match(await admitAt(url), { status: 200, body: /"allowed":true,"patchType":"JSONPatch"/ });
    program.child.kill("SIGTERM");
    t.match(await program.exit, { code: 0, stderr: "" });
  });
});

t.test("the Dockerfile copies files that exist and that .dockerignore lets through", async (t) => {
  const stages = readDockerfile(readFileSync(join(root, "Dockerfile"), "utf8"));
  const allowed = readFileSync(join(root, ".dockerignore"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("!"))
    .map((line) => line.slice(1));
  const steps: readonly Step[] = stages.flatMap((stage) => stage.steps);
  const sources = steps.flatMap((step) => (step.kind === "COPY" && step.from === undefined ? step.sources : []));
  t.ok(sources.length > 0);
  for (const source of sources) {
    t.ok(existsSync(join(root, source)), source);
    t.ok(allowed.includes(source), `${source} is let through`);
  }
});

t.test("the image: no root, no shell, the version of Node that the project is tested with", async (t) => {
  const text = readFileSync(join(root, "Dockerfile"), "utf8");
  const image = readDockerfile(text).at(-1);
  t.match(image?.base, /distroless/);
  t.strictSame(
    image?.steps.filter(({ kind }) => kind === "RUN"),
    [],
  );
  t.strictSame(
    image?.steps.filter(({ kind }) => kind === "USER"),
    [{ kind: "USER", value: "65532:65532" }],
  );
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    devDependencies: { node: string };
  };
  t.match(text, `node:${devDependencies.node}-bookworm-slim`);
});

t.test("the interpreter of Dockerfiles refuses instructions that it does not know", async (t) => {
  const refused = [
    "RUN echo $HOME",
    "ADD a b",
    "COPY --chown=1 a b",
    "ENTRYPOINT echo",
    "RUN --mount=type=cache x",
    "FROM a AS b c",
    "SHELL x",
    'ENV A="b c"',
  ];
  for (const line of refused)
    t.throws(() => readDockerfile(`FROM x\n${line}\n`), { message: new RegExp("not understood here") }, line);
  t.throws(() => readDockerfile("FROM ${NONE}\n"), /not understood/);
  t.strictSame(readDockerfile("# c\nARG A=b\nFROM ${A} AS x\nRUN a \\\n  && b\n"), [
    { base: "b", name: "x", isOfBuilder: false, steps: [{ kind: "RUN", command: "a  && b" }] },
  ]);
  t.match(readDockerfile("FROM --platform=$BUILDPLATFORM a AS x\n"), [{ base: "a", name: "x", isOfBuilder: true }]);
  t.throws(() => readDockerfile("FROM --platform=linux/arm64 a\n"), /not understood/);
});
