import t from "tap";
import { parseStream } from "../../src/manifests/document.ts";
import { changedText, objectText, styleOf } from "../../src/manifests/text.ts";

t.test("the style of a text: its line ends, and JSON with its indent", async (t) => {
  t.strictSame(styleOf("a: 1\r\n"), { eol: "\r\n", json: undefined });
  t.strictSame(styleOf("{a: 1}"), { eol: "\n", json: undefined }, "YAML's maps are no JSON");
  t.strictSame(styleOf('{"a":1}'), { eol: "\n", json: "" });
  t.strictSame(styleOf('{\n  "a": 1\n}'), { eol: "\n", json: "  " });
  t.match(objectText({ a: 1 }, styleOf("b: 1\n")), /^---\na: 1\n$/);
  t.match(objectText({ a: 1 }, styleOf('{"b":1}')), /^\{ ?"a": ?1 ?\}\n$/);
});

t.test("a document that cannot be edited is written anew, behind its marker", async (t) => {
  for (const [text, wanted] of [
    ["a: 1\n---\n? {k: 1} # why\n: 2\nb: 1\n", { b: 2 }],
    ["a: 1\n---\n? {k: 1}\n: 2", { b: 2 }],
  ] as const) {
    const stream = parseStream(text, "x");
    const document = stream.documents[1];
    if (document === undefined) throw new Error("one document");
    const changed = changedText(stream, [{ document, wanted }]);
    t.match(changed.text, /^a: 1\n---\n[^]*b: 2/);
    t.strictSame(parseStream(changed.text, "x").documents[1]?.toJS(), wanted);
  }
});
