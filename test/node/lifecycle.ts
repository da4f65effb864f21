// An admin's changes of an installation, while flowgen pods are created and running ones query their private servers.
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { version } from "../../src/files.ts";
import type { ControlPlane } from "../lab/control-plane/control-plane.ts";
import { HOST } from "../lab/control-plane/scene.ts";
import { hostIn, minimalPod, streamAdmissions, TARGETS } from "../lab/kubelet/admissions.ts";
import { type Api, connectTo } from "../lab/control-plane/api.ts";
import { CHART, RELEASE } from "../lab/control-plane/helm.ts";
import { type Client, experience, linesOf } from "../lab/node/clients.ts";
import type { ForwarderFigures, FigureStep } from "./figures.ts";
import { NODE_GATEWAY, runningPod, restartsOf } from "../lab/node/gateway.ts";
import type { NodeInstallation } from "../lab/node/installation.ts";
import { NEXT_VERSION } from "../lab/node/webhook-image.ts";
import { eventually } from "../wait.ts";

export type Setting = {
  readonly controlPlane: ControlPlane;
  readonly installation: NodeInstallation;
  /** Queries a private server all the time; `targets` are its own. */
  readonly client: Client;
  readonly targets: string;
  readonly measured: ForwarderFigures;
};

/** The chart of the next version: its image is the one of webhook-image.ts. */
const nextChart = async (folder: string): Promise<string> => {
  const chart = join(folder, "next-chart");
  await cp(CHART, chart, { recursive: true });
  const text = await readFile(join(chart, "Chart.yaml"), "utf8");
  await writeFile(join(chart, "Chart.yaml"), text.replaceAll(version, NEXT_VERSION));
  return chart;
};

/** Asks for a pod like the client's, in a dry run: the host in its env, and the version that answered. */
const ask = async (api: Api, targets: string): Promise<{ readonly host?: string; readonly version?: string }> => {
  const pod = minimalPod({ [TARGETS]: targets });
  const { body } = await api.ask("POST", "/api/v1/namespaces/team-a/pods?dryRun=All", pod);
  const { metadata } = body as { metadata?: { annotations?: Record<string, string> } };
  const status = metadata?.annotations?.["flowgen.io/gateway-status"];
  const host = hostIn(body);
  return { ...(host !== undefined && { host }), ...(status !== undefined && (JSON.parse(status) as object)) };
};

/** During `work`, running pods query on, through the same pod of the gateway. Returns how it went for them. */
const whileTheyQuery = async (
  t: Test,
  { controlPlane, client }: Setting,
  work: () => Promise<void>,
): Promise<string> => {
  const before = await runningPod(controlPlane, NODE_GATEWAY);
  const begun = Date.now();
  await work();
  const felt = experience(await linesOf(client), begun, Date.now());
  t.strictSame([felt.failures, felt.lostSessions], [[], 0], "running pods lost no query and no session");
  t.ok(felt.queries > 5, `${felt.queries} queries`);
  const after = await runningPod(controlPlane, NODE_GATEWAY);
  t.equal(after.metadata.uid, before.metadata.uid, "the gateway's pod is the same");
  t.equal(restartsOf(after), restartsOf(before), "and was not restarted");
  return `${felt.failures.length} of ${felt.queries} queries of running pods lost`;
};

/** And those that come meanwhile are not refused. */
const whileTheyCome = async (t: Test, setting: Setting, step: FigureStep, work: (api: Api) => Promise<void>) => {
  const api = connectTo(setting.controlPlane);
  t.teardown(api.close);
  const stream = streamAdmissions(api, 2, setting.targets);
  const felt = await whileTheyQuery(t, setting, () => work(api));
  const { redirected, unchanged, refused } = await stream.stop();
  setting.measured.note(step, `${refused.length} of ${redirected + unchanged} pods refused, ${felt}`);
  t.strictSame(refused, []);
  return { redirected, unchanged };
};

/** To the next version and back: no pod is refused, and none starts unredirected. */
export const testUpgrade = async (t: Test, setting: Setting): Promise<void> => {
  const { helm, onlyNewPods } = setting.installation;
  const chart = await nextChart(setting.controlPlane.folder);
  const came = await whileTheyCome(t, setting, "helm upgrade and rollback", async (api) => {
    const answer = (): ReturnType<typeof ask> => ask(api, setting.targets);
    t.match(await answer(), { host: HOST, version });
    await helm(["upgrade", RELEASE, chart, "--reset-then-reuse-values"]);
    await onlyNewPods();
    t.match(await answer(), { host: HOST, version: NEXT_VERSION }, "the next version answers");
    await helm(["rollback", RELEASE]);
    await onlyNewPods();
    t.match(await answer(), { host: HOST, version }, "and after the rollback the one before");
  });
  t.equal(came.unchanged, 0, "all were redirected");
  t.ok(came.redirected > 100, `${came.redirected} pods came meanwhile`);
};

/**
 * Uninstalled: pods that come start as they are; the gateways go on, and an installation after it takes them over as
 * they are.
 */
export const testUninstall = async (t: Test, setting: Setting, config: object): Promise<void> => {
  const { installation, targets } = setting;
  await whileTheyCome(t, setting, "helm uninstall", async (api) => {
    const said = await installation.helm(["uninstall", RELEASE]);
    t.match(said, /Namespace.*flowgen-gateway/s, "Helm says what it kept");
    t.strictSame(await ask(api, targets), { host: "10.0.0.5" }, "a pod starts as it is");
    await sleep(5_000);
  });
  await whileTheyQuery(t, setting, async () => {
    await installation.upgrade(config);
    const api = connectTo(setting.controlPlane);
    t.teardown(api.close);
    await eventually("redirected again", 10_000, async () => (await ask(api, targets)).host === HOST || undefined);
  });
};
