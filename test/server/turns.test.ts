import t from "tap";
import { createTurns } from "../../src/server/turns.ts";

/** Turns by a clock that moves only while work runs; work takes the time that it is given. */
const setup = (mostBytes = Infinity) => {
  let now = 0;
  const turns = createTurns(mostBytes, () => now);
  const served: string[] = [];
  /** One stage of a review. */
  const review = (namespace: string, ms: number, { bytes = 1, name = namespace } = {}): Promise<void> =>
    Promise.resolve(
      turns.of(namespace, bytes).take(() => {
        now += ms;
        served.push(name);
      }),
    );
  const pass = (ms: number): void => {
    now += ms;
  };
  return { turns, review, served, pass };
};

t.test("a namespace that used little is served at once, in the same round of the event loop", (t) => {
  const { turns } = setup();
  const turn = turns.of("team-a", 1);
  t.equal(
    turn.take(() => "done"),
    "done",
    "no promise",
  );
  t.equal(
    turn.count(() => "done"),
    "done",
  );
  t.end();
});

t.test("a namespace that used much waits, and the others go first in any order of arrival", async (t) => {
  const { review, served } = setup();
  await review("hostile", 100);
  const costly = Array.from({ length: 3 }, () => review("hostile", 100));
  await review("honest", 1);
  t.strictSame(served, ["hostile", "honest"]);
  const between: string[] = [];
  void costly[0]?.then(() => review("honest", 1)).then(() => between.push(...served));
  await Promise.all(costly);
  t.strictSame(served, ["hostile", "honest", "hostile", "honest", "hostile", "hostile"]);
  t.strictSame(between, ["hostile", "honest", "hostile", "honest"], "before the next costly one");
});

t.test("of the waiting namespaces the one that used less goes first; equal ones take turns", async (t) => {
  const { review, served } = setup();
  await Promise.all([review("a", 240), review("b", 200), review("c", 30)]);
  const all = ["a", "b", "c"].flatMap((namespace) => [review(namespace, 1), review(namespace, 1)]);
  await Promise.all(all);
  t.strictSame(served.slice(3), ["c", "c", "a", "b", "a", "b"]);
});

t.test("the time that a namespace used expires; its short stages run together", async (t) => {
  const { review, served, pass } = setup();
  await review("c", 60_000);
  pass(5000);
  void review("c", 0);
  t.equal(served.length, 2, "no more than a second is held against a namespace");
  served.length = 0;
  await review("a", 100);
  pass(400);
  void review("a", 0);
  t.equal(served.length, 1, "20 ms are left: it waits");
  pass(1);
  void review("a", 0);
  t.equal(served.length, 2);
  await new Promise(setImmediate);
  t.equal(served.length, 3);
  await review("b", 30);
  const many = Array.from({ length: 10 }, () => review("b", 0));
  await new Promise(setImmediate);
  t.equal(served.length, 14);
  await Promise.all(many);
});

t.test("work that throws counts, and its error is the caller's", async (t) => {
  const { turns } = setup();
  const fail = (): never => {
    throw new Error("no");
  };
  t.throws(() => turns.of("a", 1).count(fail), /no/);
  const { turns: others, review } = setup();
  await review("a", 100);
  await t.rejects(async () => await others.of("a", 1).take(fail), /no/);
});

t.test("too many bytes wait: the last review of the namespace that holds the most is refused", async (t) => {
  const { review, served } = setup(100);
  await Promise.all([review("hostile", 100), review("busy", 100)]);
  const first = review("hostile", 1, { bytes: 60, name: "first" });
  const second = review("hostile", 1, { bytes: 30, name: "second" });
  const other = review("busy", 1, { bytes: 20, name: "other" });
  await t.rejects(second, /too many bytes/);
  await Promise.all([first, other]);
  t.strictSame(served.slice(2).sort(), ["first", "other"]);
  await review("busy", 1, { bytes: 101, name: "large" });
  t.equal(served.at(-1), "large", "one alone may be as large as any body");
});

t.test("namespaces that owe nothing are forgotten", async (t) => {
  const { review, served, pass } = setup();
  for (let at = 0; at < 3000; at += 1) {
    await review(`n${at}`, 0.1);
    pass(1);
  }
  t.equal(served.length, 3000);
});
