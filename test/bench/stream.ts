/**
 * `npm run bench:stream`: the cost of the shipped `inject` for a stream of 20,000 documents (DOCUMENTS) from standard
 * input, and for a fifth of them. Beside it stands plain parsing of the same stream, document by document, in a process
 * of its own. Prints seconds and peak memory of each, and the ratio. Fails above 150 MiB.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { root } from "../program.ts";

const DOCUMENTS = Number(process.env["DOCUMENTS"] ?? 20_000);
/** MiB: the goal for a stream of any length. */
const LIMIT = 150;

/** Of ten documents two are flowgen's, which ask for one of 50 targets; the others are the rest of a chart. */
const document = (n: number): string => {
  const [name, host] = [`app-${n}`, `10.0.0.${n % 50}`];
  if (n % 10 > 1)
    return `---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n  labels: { app: ${name} }\ndata:\n${Array.from({ length: 20 }, (_, line) => `  key-${line}: "value ${line} of ${name}"\n`).join("")}`;
  const env = Array.from(
    { length: 10 },
    (_, at) => `            - name: SETTING_${at}\n              value: "${at}"\n`,
  ).join("");
  return `---
# ${name}
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: team-a }
spec:
  template:
    metadata:
      labels: { app.kubernetes.io/name: flowgen, app: ${name} }
      annotations:
        flowgen.io/private-targets: "db=${host}:${5000 + (n % 50)}"
    spec:
      containers:
        - name: flowgen
          image: ghcr.io/connve/flowgen:0.19.0
          env:
            - name: DB_URL # of ${name}
              value: postgres://app:secret@${host}:${5000 + (n % 50)}/${name}
${env}`;
};

function* stream(documents: number): Generator<string> {
  for (let n = 0; n < documents; n += 1) yield document(n);
}

type Cost = { readonly seconds: number; readonly mib: number; readonly out: number; readonly err: string };

/** Says the process's peak memory, in KiB, on its fourth stream. */
const MEASURE = `data:text/javascript,import{writeSync}from"node:fs";process.on("exit",()=>writeSync(3,String(process.resourceUsage().maxRSS)))`;

/** Runs Node with the stream as its standard input. */
const measured = async (args: readonly string[], documents = DOCUMENTS): Promise<Cost> => {
  const start = performance.now();
  const child = spawn(process.execPath, ["--import", MEASURE, ...args], {
    cwd: root,
    stdio: ["pipe", "pipe", "pipe", "pipe"],
  });
  const { stdin, stdout, stderr, stdio } = child;
  let out = 0;
  stdout.on("data", (chunk: Buffer) => (out += chunk.length));
  const [err, peak] = [textOf(stderr), textOf(stdio[3] as unknown as AsyncIterable<Buffer>)];
  for (const text of stream(documents)) if (!stdin.write(text)) await once(stdin, "drain");
  stdin.end();
  const [code] = (await once(child, "close")) as [number];
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${await err}`);
  return { seconds: (performance.now() - start) / 1000, mib: Number(await peak) / 1024, out, err: await err };
};

/** Parses each document, and keeps none. */
const PLAIN = `
import { parseDocument } from "yaml";
let text = "", count = 0;
for await (const chunk of process.stdin.setEncoding("utf8")) {
  text += chunk;
  const parts = text.split(/^(?=---)/m);
  text = parts.pop();
  for (const part of parts) { parseDocument(part).toJS(); count += 1; }
}
parseDocument(text).toJS();
process.stdout.write(String(count + 1));
`;

const row = (name: string, { seconds, mib }: Cost, documents = DOCUMENTS): string =>
  `${name.padEnd(14)} ${String(documents).padStart(7)} documents ${seconds.toFixed(1).padStart(6)} s ${mib.toFixed(0).padStart(5)} MiB peak`;

const plain = await measured(["--input-type=module", "-e", PLAIN]);
const inject = [
  join(root, "dist/main.js"),
  "inject",
  "-f",
  "-",
  "--config",
  join(root, "examples/webhook-config.yaml"),
];
const few = Math.ceil(DOCUMENTS / 5);
const short = await measured(inject, few);
const injected = await measured(inject);
console.log(row("plain parsing", plain));
console.log(row("inject", short, few));
console.log(`${row("inject", injected)}, ${(injected.seconds / plain.seconds).toFixed(2)} x plain parsing`);
console.log(injected.err.trim());
if (injected.mib > LIMIT) throw new Error(`inject takes more than ${LIMIT} MiB`);
