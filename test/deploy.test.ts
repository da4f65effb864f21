// The tests without Helm: deploy/kustomize is rendered from the present chart. test/deploy has the others.
import { readFileSync } from "node:fs";
import t from "tap";
import { parse } from "yaml";
import { CHART } from "./lab/control-plane/helm.ts";
import { sums, SUMS } from "./deploy/sums.ts";
import { version } from "../src/files.ts";

t.test("deploy/kustomize is rendered from the chart as it is: npm run render", async (t) => {
  t.equal(readFileSync(SUMS, "utf8"), sums());
});

t.test("the chart has the program's version", async (t) => {
  const chart = parse(readFileSync(`${CHART}/Chart.yaml`, "utf8")) as { version: string; appVersion: string };
  t.match(chart, { version: version, appVersion: version });
});
