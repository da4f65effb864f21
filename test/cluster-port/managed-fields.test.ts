import t from "tap";
import type { KubeObject } from "../../src/cluster/cluster.ts";
import { isContent, isHeldByOthers, takenOver } from "../../src/cluster/managed-fields.ts";
import { MANAGER } from "../../src/core/names.ts";

const objectWith = (managedFields?: readonly object[]): KubeObject =>
  ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "gw", namespace: "vpn", ...(managedFields && { managedFields }) },
  }) as KubeObject;
const helm = { manager: "helm", operation: "Update", apiVersion: "v1", time: "2026-01-01T00:00:00Z" };
const own = { manager: MANAGER, operation: "Apply", apiVersion: "v1" };

t.test("content is spec and data, without the fields that others set in them", async (t) => {
  const paths = ["f:spec", "f:spec/f:ports", "f:data/f:forwards", "f:spec/f:clusterIP", "f:spec/f:template/f:metadata/f:annotations"]; // prettier-ignore
  t.strictSame(paths.map(isContent), [true, true, true, false, false]);
  t.strictSame(["f:metadata/f:labels", "f:specification"].map(isContent), [false, false]);
});

t.test("an object without managedFields, or whose entries hold no field, has no owner", async (t) => {
  for (const object of [objectWith(), objectWith([]), objectWith([helm])]) {
    t.notOk(isHeldByOthers(object));
    t.strictSame(takenOver(object), []);
  }
});

t.test("content of another manager becomes the webhook's, the rest stays with that manager", async (t) => {
  const labels = { "f:metadata": { "f:labels": { "f:team": {} } } };
  const object = objectWith([
    { ...helm, fieldsV1: { ...labels, "f:spec": { "f:ports": { "k:1": {} }, "f:clusterIP": {} } } },
  ]);
  t.ok(isHeldByOthers(object));
  t.strictSame(takenOver(object), [
    { ...own, fieldsType: "FieldsV1", time: helm.time, fieldsV1: { "f:spec": { "f:ports": { "k:1": {} } } } },
    { ...helm, fieldsV1: { ...labels, "f:spec": { "f:clusterIP": {} } } },
  ]);
});

t.test("fields that both own are joined; a manager that is left with none goes", async (t) => {
  const object = objectWith([
    { ...own, fieldsV1: { "f:spec": { "f:ports": { "k:1": {} } } } },
    { ...helm, fieldsV1: { "f:spec": { "f:ports": { "k:2": {} }, "f:selector": {} } } },
  ]);
  const [first, ...others] = takenOver(object);
  t.strictSame(first?.fieldsV1, { "f:spec": { "f:ports": { "k:1": {}, "k:2": {} }, "f:selector": {} } });
  t.strictSame(others, []);
  t.notOk(isHeldByOthers(objectWith(takenOver(object))), "a second time there is nothing to take");
});

t.test("an entry of the webhook without fields takes the content; a status stays its controller's", async (t) => {
  const status = { manager: "kube-controller-manager", operation: "Update", subresource: "status" };
  const written = { ...status, fieldsV1: { "f:spec": { "f:replicas": {} }, "f:status": {} } };
  t.notOk(isHeldByOthers(objectWith([written])));
  t.strictSame(takenOver(objectWith([own, status, written, { ...helm, fieldsV1: { "f:data": {} } }])), [
    { ...own, fieldsV1: { "f:data": {} } },
    written,
  ]);
});
