import { readFile } from "node:fs/promises";
import awsLambdaFastify from "@fastify/aws-lambda";
import type { Logger } from "pino";
import { admit } from "../../admit.ts";
import { loadScripts } from "../../provisioning/scripts.ts";
import { version } from "../../files.ts";
import { createApp } from "../../server/app.ts";
import { createLog } from "../../server/log.ts";
import { createMetrics } from "../../server/metrics/metrics.ts";
import { pathTokenProblem } from "../../server/path-token.ts";
import { observedProvisioning } from "../../server/provisioning.ts";
import { createRolls } from "../../server/rolls.ts";
import { createStanding } from "../../server/standing.ts";
import { CLUSTERS, type ClusterName, connectCluster, parseConfig, UsageError } from "../options/options.ts";

/** The answer to an HTTP event of API Gateway (payload format 2.0), a Function URL or an Application Load Balancer. */
export type Handler = (
  event: object,
  context: object,
) => Promise<{
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}>;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The webhook as one function, over the same app that `serve` listens with. Its settings are the variables of `serve`.
 * The path token is a variable too, because a function has no mounted files. It is required, because the function's URL
 * is public. Throws a UsageError that names the variable and the fix.
 */
export const createHandler = async (env: Environment, log: Logger = createLog("info")): Promise<Handler> => {
  const pathToken = readToken(env);
  const config = await configFromEnv(env);
  const cluster = await connectCluster(readCluster(env));
  const metrics = createMetrics(version);
  // A platform asks no function whether it is ready: the API server's next try may reach another instance.
  const standing = createStanding(() => performance.now());
  const context = {
    config,
    provision: observedProvisioning(
      { cluster, scripts: loadScripts(), log },
      metrics,
      standing,
      createRolls(() => performance.now()),
    ).provision,
    version,
    isBehind: standing.isBehind,
  };
  const app = createApp({
    admit: (creation) => admit(creation, context),
    log,
    metrics,
    isReady: () => true,
    pathToken,
  });
  metrics.serving(performance.now() / 1000);
  return awsLambdaFastify<object>(app, { decorateRequest: false });
};

const readToken = (env: Environment): string => {
  const token = env["FLOWGEN_GATEWAY_PATH_TOKEN"] ?? "";
  const problem = pathTokenProblem(token);
  if (problem === undefined) return token;
  throw new UsageError(
    `FLOWGEN_GATEWAY_PATH_TOKEN holds no token: ${problem}; make one with openssl rand -hex 32, and let the webhook ` +
      `configuration's URL end in /mutate/<token>`,
  );
};

const configFromEnv = async (env: Environment) => {
  const yaml = env["FLOWGEN_GATEWAY_CONFIG_YAML"];
  if (yaml !== undefined) return parseConfig(yaml, "FLOWGEN_GATEWAY_CONFIG_YAML");
  const path = env["FLOWGEN_GATEWAY_CONFIG"] ?? "config.yaml";
  try {
    return parseConfig(await readFile(path, "utf8"), path);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `cannot read the config ${path} (${String(error)}): put it into the function's package, name it in FLOWGEN_GATEWAY_CONFIG, ` +
        `or give its text in FLOWGEN_GATEWAY_CONFIG_YAML`,
    );
  }
};

const readCluster = (env: Environment): ClusterName => {
  const wanted = env["FLOWGEN_GATEWAY_CLUSTER"] ?? "kubeconfig";
  const cluster = CLUSTERS.find((name) => name === wanted);
  if (cluster !== undefined) return cluster;
  throw new UsageError(`FLOWGEN_GATEWAY_CLUSTER is ${JSON.stringify(wanted)}: use one of ${CLUSTERS.join(", ")}`);
};
