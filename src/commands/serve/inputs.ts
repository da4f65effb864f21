import type { CallerRule } from "../../server/callers.ts";
import { pathTokenProblem } from "../../server/path-token.ts";
import { readClientCa, readTls, type Tls } from "../../certificates/tls.ts";
import { type Contents, readFiles, type UnreadableFile } from "../../server/watch.ts";
import { messageOf } from "../../core/message.ts";
import { UsageError } from "../options/options.ts";

type Inputs = {
  readonly config: string;
  readonly configYaml?: string;
  readonly pathTokenFile?: string;
  readonly ownPathToken?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly plainHttp?: boolean;
  readonly clientCa?: string;
  readonly clientName?: readonly string[];
};

/** The config, the certificate and the key, the last two as far as they are given. */
export const readInputs = async ({ config, configYaml, tlsCert, tlsKey }: Inputs): Promise<Contents> => {
  const texts = await readGiven({
    "--config": configYaml === undefined ? config : undefined,
    "--tls-cert": tlsCert,
    "--tls-key": tlsKey,
  });
  return configYaml === undefined ? texts : ["", ...texts];
};

/**
 * The token without the line's end that files have; undefined when none is asked for. It is read once, and never shown.
 */
export const readPathToken = async ({ pathTokenFile: file, ownPathToken }: Inputs): Promise<string | undefined> => {
  if (file === undefined) return undefined;
  if (ownPathToken === true)
    throw new UsageError("--path-token-file and --own-path-token do not go together: give one of them");
  const token = (await readGiven({ "--path-token-file": file })).join("").trimEnd();
  const problem = pathTokenProblem(token);
  if (problem === undefined) return token;
  throw new UsageError(`--path-token-file: ${file} holds no token: ${problem}; make one with: openssl rand -hex 32`);
};

/** The callers whose reviews are accepted; undefined: every caller. */
export const readCallers = async ({ plainHttp, clientCa, clientName }: Inputs): Promise<CallerRule | undefined> => {
  if (clientCa === undefined) {
    if (clientName === undefined) return undefined;
    throw new UsageError("--client-name says whose certificate of a CA is taken: give --client-ca too");
  }
  if (plainHttp === true)
    throw new UsageError(
      "--client-ca needs TLS, and --plain-http leaves it to a platform: let that check certificates",
    );
  const ca = parseClientCa(await readGiven({ "--client-ca": clientCa }), clientCa);
  return { ca, ...(clientName && { names: clientName }) };
};

/** Throws a UsageError that names the file. */
export const parseClientCa = ([pem = ""]: Contents, path: string): string => {
  try {
    return readClientCa(pem);
  } catch (error) {
    throw new UsageError(
      `--client-ca: ${path}: ${messageOf(error)}; give the CA that signed the API server's client certificate`,
    );
  }
};

const readGiven = async (inputs: Readonly<Record<string, string | undefined>>): Promise<Contents> => {
  const given = Object.entries(inputs).filter((input): input is [string, string] => input[1] !== undefined);
  try {
    return await readFiles(given.map(([, path]) => path));
  } catch (error) {
    const flags = given.filter(([, path]) => path === (error as UnreadableFile).path).map(([flag]) => flag);
    throw new UsageError(
      `${flags.join(", ")}: ${messageOf(error)}; name a file that exists and that this user may read`,
    );
  }
};

/** A certificate and its key. Throws a UsageError that names the files. */
export const parseTls = ([cert = "", key = ""]: Contents, paths: readonly string[]): Tls => {
  try {
    return readTls(cert, key);
  } catch (error) {
    throw new UsageError(`${paths.join(", ")}: ${messageOf(error)}; give a PEM certificate and its own key`);
  }
};
