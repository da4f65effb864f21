import t from "tap";
import { envDiff } from "../../src/commands/inject/masked.ts";
import type { Pod } from "../../src/core/pod.ts";

t.test("the values of an env before and after, wherever it stands", async (t) => {
  const pod: Pod = {
    metadata: {},
    spec: {
      containers: [
        { name: "c", env: [{ name: "A", valueFrom: null }, { name: "B", value: "x" }, { name: "B", value: "y" }] },
        { name: "d" },
      ],
    },
  }; // prettier-ignore
  const changed = ["c A", "c B", "c N", "d A", "none A"].map((text) => {
    const [container = "", env = ""] = text.split(" ");
    return { container, env, change: "set" } as const;
  });
  const operations = [{ op: "replace", path: "/spec/containers/0/env/2/value", value: "z" }] as const;
  t.strictSame(
    envDiff(pod, operations, changed).map(({ before, after }) => [before, after]),
    [["", ""], ["y", "z"], ["(absent)", "(absent)"], ["(absent)", "(absent)"], ["(absent)", "(absent)"]],
  ); // prettier-ignore
});
