import t from "tap";
import { perObject, perText } from "../../src/core/memo.ts";

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

t.test("of results by text the newest are kept; those of long texts are not", async (t) => {
  const made: string[] = [];
  const memo = perText<number>(2);
  const ask = (text: string): number =>
    memo(text, () => {
      made.push(text.slice(0, 1));
      return text.length;
    });
  t.strictSame(["a", "b", "a", "c", "b", "a"].map(ask), [1, 1, 1, 1, 1, 1]);
  t.strictSame(made, ["a", "b", "c", "a"]);
  const long = "x".repeat(10_000);
  t.strictSame([ask(long), ask(long)], [10_000, 10_000]);
  t.strictSame(made.slice(4), ["x", "x"]);
});
