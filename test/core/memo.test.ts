import t from "tap";
import { createSeen, perObject, perText } from "../../src/core/memo.ts";

t.test("a result is made once for an object", async (t) => {
  let made = 0;
  const size = perObject((list: readonly number[]) => {
    made += 1;
    return list.length;
  });
  const list = [1, 2];
  t.strictSame([size(list), size(list), size([1])], [2, 2, 1]);
  t.equal(made, 2);
});

/** A memo of 100 kB whose results take 2,000 bytes each, unless they say more. */
const setup = () => {
  const made: string[] = [];
  const memo = perText<{ readonly of: string; readonly bytes: number }>(100_000, ({ bytes }) => bytes);
  const ask = (of: string, bytes = 2000, isStill = true): string =>
    memo(
      of,
      () => {
        made.push(of);
        return { of, bytes };
      },
      () => isStill,
    ).of;
  return { made, ask };
};

t.test("of results by text the newest are kept, as many as have room by their bytes", async (t) => {
  const { made, ask } = setup();
  const texts = Array.from({ length: 60 }, (_, index) => `text ${index}`);
  t.strictSame(
    texts.map((text) => ask(text)),
    texts,
  );
  t.equal(made.length, 60);
  const newest = texts.slice(-46);
  t.strictSame(
    newest.map((text) => ask(text)),
    newest,
  );
  t.equal(made.length, 60, "46 of 2,142 bytes are kept");
  ask("text 13");
  t.equal(made.length, 61, "the 47th is not");
});

t.test("a long question and a large answer are not kept: they would push out all others", async (t) => {
  const { made, ask } = setup();
  ask("small");
  const long = "x".repeat(2000);
  for (const [text, bytes] of [
    ["large", 4000],
    [long, 0],
  ] as const) {
    ask(text, bytes);
    ask(text, bytes);
  }
  t.strictSame(made, ["small", "large", "large", long, long]);
  ask("small");
  t.equal(made.length, 5);
});

t.test("a result that does not hold any more is made again, and takes its room once", async (t) => {
  const { made, ask } = setup();
  ask("other");
  for (let time = 0; time < 100; time += 1) ask("text", 2000, false);
  t.equal(made.length, 101);
  ask("other");
  ask("text");
  t.equal(made.length, 101);
});

t.test("a text is known from the second time on, while few others came between", async (t) => {
  const isSeen = createSeen(100);
  const texts = (from: number, count: number): readonly string[] =>
    Array.from({ length: count }, (_, index) => `text ${from + index}`.padEnd(1000, "."));
  t.strictSame(["a", "b", "a", "b"].map(isSeen), [false, false, true, true]);
  texts(0, 50).forEach(isSeen);
  t.ok(isSeen("a"), "it stays while 50 others come");
  texts(50, 50).forEach(isSeen);
  t.ok(isSeen("a"), "and is as new as when it came last");
  texts(100, 150).forEach(isSeen);
  t.notOk(isSeen("a"));
  t.notOk(isSeen(texts(100, 1)[0] ?? ""));
  t.notOk(isSeen(`${"text 249".padEnd(1000, ".")}.`), "texts of two lengths are two");
});
