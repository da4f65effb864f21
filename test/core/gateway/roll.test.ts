import fc from "fast-check";
import t from "tap";
import { type Health, healthOf, type Member, nextSteps, rollNoteOf } from "../../../src/core/gateway/roll.ts";

const deployment = (status: object | undefined, metadata: object = {}) => ({
  metadata: { generation: 2, ...metadata },
  status,
});
const SERVES = { observedGeneration: 2, replicas: 1, updatedReplicas: 1, availableReplicas: 1 };

t.test("whether a Deployment serves", async (t) => {
  for (const [says, expected, status, metadata] of [
    ["its pod is available", "serves", SERVES, {}],
    ["a change that its controller has not seen", "moving", SERVES, { generation: 3 }],
    ["it is about to be deleted", "moving", SERVES, { deletionTimestamp: "2026-01-01T00:00:00Z" }],
    ["the available pod is of the template before", "moving", { ...SERVES, updatedReplicas: 0 }, {}],
    ["no pod is available", "down", { ...SERVES, availableReplicas: 0 }, {}],
    ["no count at all", "down", { observedGeneration: 2 }, {}],
    ["its controller has never seen it", "down", {}, {}],
    ["no status", "down", undefined, {}],
  ] as const)
    t.equal(healthOf(deployment(status, metadata)), expected satisfies Health, says);
});

t.test("a note names the Deployment and its version", async (t) => {
  t.equal(rollNoteOf(deployment(SERVES, { uid: "u", resourceVersion: "7" })), "u.7");
});

type Entry = readonly [name: string, health: Member["health"], wish: Member["wish"]];
const members = (...list: readonly Entry[]): readonly Member[] =>
  list.map(([name, health, wish]) => ({ name, health, wish }));
const next = (...list: readonly Entry[]): string =>
  nextSteps(members(...list))
    .map(({ name }) => name)
    .join(" ");

t.test("the next change", async (t) => {
  t.equal(next(["a", "serves", "change"], ["b", "serves", "change"]), "a", "one after another");
  t.equal(next(["a", "moving", "keep"], ["b", "serves", "change"]), "", "not while the one before is on its way");
  t.equal(next(["a", "missing", "change"], ["b", "serves", "change"]), "", "nor while one has yet to be made");
  t.equal(next(["a", "down", "change"], ["b", "serves", "change"]), "a", "one that is down, at once");
  t.equal(next(["a", "down", "change"], ["b", "down", "change"]), "a b", "all of them");
  t.equal(
    next(["a", "down", "keep"], ["b", "serves", "change"]),
    "",
    "one that is down and as it should be keeps the others",
  );
  t.equal(next(["a", "serves", "remove"], ["b", "serves", "change"]), "b", "one that goes serves until then");
  t.equal(next(["a", "serves", "remove"], ["b", "serves", "keep"]), "a");
  t.equal(next(["a", "serves", "keep"]), "");
});

t.test("a Deployment that serves is changed only while all others serve", () => {
  const member = fc.record({
    health: fc.constantFrom<Member["health"]>("serves", "down", "moving", "missing"),
    wish: fc.constantFrom<Member["wish"]>("keep", "change", "remove"),
  });
  fc.assert(
    fc.property(fc.array(member, { maxLength: 4 }), (list) => {
      const all = list.map((each, at) => ({ ...each, name: String(at) }));
      const steps = nextSteps(all);
      const serving = steps.filter(({ health }) => health === "serves");
      if (serving.length > 1) throw new Error("two at once");
      if (serving.length === 1 && all.some(({ health }) => health !== "serves"))
        throw new Error("while another does not serve");
      if (steps.some(({ wish, health }) => wish === "keep" || health === "moving" || health === "missing"))
        throw new Error("changed without need or knowledge");
    }),
  );
  return Promise.resolve();
});
