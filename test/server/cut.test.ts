import fc from "fast-check";
import t from "tap";
import { POD_FIELDS, readPod } from "../../src/core/pod.ts";
import { cutterOf } from "../../src/server/cut.ts";
import type { Shape } from "../../src/server/shape.ts";
import { createReviewReader, type Review, type Unread } from "../../src/server/review.ts";
import { review } from "./client.ts";

const PART = { c: true, d: { e: true } } satisfies Shape;
const SHAPE = { a: true, b: { c: true, part: PART }, part: PART } satisfies Shape;
const cutText = cutterOf(SHAPE, PART);

/** The value of a cut text: the rest, with the part in its place. */
const cutValue = (text: string): unknown => {
  const cut = cutText(Buffer.from(text));
  if (typeof cut === "string") throw new Error(cut);
  const part = cut.part === undefined ? undefined : (JSON.parse(cut.part) as unknown);
  return { rest: JSON.parse(cut.rest) as unknown, part };
};

/** A key that is written with an escape stays: it may be any. */
const isEscaped = (key: string): boolean => JSON.stringify(key).includes("\\");

/** The same, done with values. */
const selected = (value: unknown, shape: Shape): unknown => {
  if (shape === true || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => (Array.isArray(each) ? each : selected(each, shape)));
  const entries = Object.entries(value).filter(([key]) => Object.hasOwn(shape, key) || isEscaped(key));
  return Object.fromEntries(entries.map(([key, each]) => [key, selected(each, shape[key] ?? true)]));
};

const key = fc.constantFrom("a", "b", "c", "d", "e", "other", 'quoted"}', "\\", "ünï");
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.string()),
    fc.dictionary(key, tie("tree"), { maxKeys: 5 }),
    fc.array(tie("tree"), { maxLength: 3 }),
  ),
}));

t.test("a cut text holds the fields that are read, and no others", async (t) => {
  fc.assert(
    fc.property(tree, tree, fc.constantFrom(undefined, 1, "\t"), (outside, part, indent) => {
      const whole = { other: outside, a: outside, b: outside, part, last: [outside] };
      const text = JSON.stringify(whole, null, indent);
      const { rest, part: found } = cutValue(text) as { rest: Record<string, unknown>; part: unknown };
      t.strictSame(rest, { ...(selected(JSON.parse(text), { a: true, b: SHAPE.b }) as object), part: null });
      t.strictSame(found, selected(JSON.parse(JSON.stringify(part)), PART));
    }),
    { numRuns: 500 },
  );
});

t.test("keys that a text has twice, with escapes or not at all", async (t) => {
  const cases: [text: string, rest: unknown, part?: unknown][] = [
    ['{"a":1,"a":2}', { a: 2 }],
    ['{"part":{"c":1},"part":{"c":2,"x":3}}', { part: null }, { c: 2 }],
    ['{"\\u0061":1,"x":2}', { a: 1 }],
    [' { "x" : [ { } , "]" ] , "a" : "\\"}" } ', { a: '"}' }],
    ["{}", {}],
    ["[]", []],
    ["null", null],
    ['"{"', "{"],
    ['{"part":[1,{"c":1,"x":2},[{"x":3}]]}', { part: null }, [1, { c: 1 }, [{ x: 3 }]]],
  ];
  for (const [text, rest, part] of cases) t.strictSame(cutValue(text), { rest, part }, text);
});

t.test("a text that is not JSON is none after the cut", async (t) => {
  const texts = [
    "", "{", "{]", '{"a"}', '{"a" 1}', '{"a":1', '{"a":1]', '{"a":}', '{"a":1}}', '{"x":1 "a":2', '{"a":1,b:2}',
    '{"part":{"c":1}', '{"part":[{"c":1}', '{"part":[{"c":1}}', '{"part":[{"c":1},', '{"a":"x', '{"a":"\\"}', "\ufeff{}", "{} {}",
  ]; // prettier-ignore
  for (const text of texts) t.throws(() => cutValue(text), { name: "SyntaxError" }, text);
  const whole = '{"x":{"y":[1,"\\""]},"a":[{"b":null}],"part":{"x":1,"d":{"e":[]}}}';
  for (let end = 0; end < whole.length; end += 1)
    t.throws(() => cutValue(whole.slice(0, end)), { name: "SyntaxError" });
});

t.test("all fields of a pod that are read stay", async (t) => {
  const handler = { exec: { command: ["x", "10.0.0.5:1"] } };
  const container = {
    name: "c", image: "x", env: [{ name: "A", value: "1" }, { name: "B", valueFrom: { fieldRef: {} } }], envFrom: [{}],
    command: ["a.b"], args: ["10.0.0.5"], livenessProbe: handler, readinessProbe: handler, startupProbe: handler,
    volumeMounts: [{ name: "v", mountPath: "/v" }], lifecycle: { preStop: handler, postStart: handler },
  }; // prettier-ignore
  const pod = {
    metadata: { name: "x", labels: { a: "b" }, annotations: { c: "d" }, managedFields: [{}] },
    spec: {
      containers: [container], initContainers: [container], volumes: [{}], dnsPolicy: "Default", dnsConfig: {}, hostNetwork: true,
      hostAliases: [{ ip: "10.0.0.5", hostnames: ["a.b"] }],
    },
    status: {},
  }; // prettier-ignore
  const whole = readPod(structuredClone(pod));
  const { part = "" } = cutterOf(POD_FIELDS, POD_FIELDS)(Buffer.from(JSON.stringify(pod))) as { part?: string };
  t.strictSame(readPod(JSON.parse(part)), whole);
  t.equal(whole.kind, "pod");
  t.notMatch(part, /managedFields|volumes|image|"name":"[xv]"|status/);
});

t.test("pods of equal text are one object from the second on", async (t) => {
  const readHead = createReviewReader();
  const read = (body: Buffer): Review | Unread => {
    const head = readHead(body);
    return "problem" in head ? head : head.readObject();
  };
  t.match(read(Buffer.from(review)), { text: undefined }, "nothing is kept of a pod that comes once");
  t.match(read(Buffer.from(review)), { text: /MSSQL_HOST/ });
  const podIn = (text: string): unknown => {
    const found = read(Buffer.from(text));
    return "problem" in found ? found : found.pod;
  };
  const pod = podIn(review);
  t.equal(
    podIn(review.replaceAll("kube-api-access-ttndz", "kube-api-access-zzzzz").replace(/"uid": "2/, '"uid": "3')),
    pod,
  );
  t.not(podIn(review.replace("s3cret", "other")), pod);
  t.match(podIn(review.replace('"metadata"', '"metadate"')), { status: 400, problem: /not a pod/ });
  t.match(podIn(review.replace('"name": "MSSQL_HOST"', '"name": MSSQL_HOST')), { status: 400, problem: /not JSON/ });
});
