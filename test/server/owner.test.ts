import t from "tap";
import { ownerOf } from "../../src/server/owner.ts";

const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "flows-6c9", uid: "1", controller: true };
const { controller: _controller, ...read } = owner;

t.test("the controller among a pod's owners", async (t) => {
  t.strictSame(ownerOf([null, { ...owner, name: "other", controller: false }, owner]), read);
});

t.test("no owner is read where none is a controller, or where its fields are not those of a reference", async (t) => {
  for (const references of [
    undefined,
    "x",
    {},
    [],
    [null, 1, {}],
    [{ ...owner, uid: 1 }],
    [{ ...owner, name: "n".repeat(9999) }],
  ])
    // prettier-ignore
    t.equal(ownerOf(references), undefined);
});

t.test("control characters of a name reach no Event", async (t) => {
  t.notMatch(ownerOf([{ ...owner, name: "a\u001b[31m\nb" }])?.name, /[\u0000-\u001f]/);
});
