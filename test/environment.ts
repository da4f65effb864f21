import type { Test } from "tap";

const environment = process.env;

/**
 * Sets the whole environment until a test ends. `t.intercept` would take a stack whenever somebody looks at it, which
 * loading a module does.
 */
export const setEnv = (t: Test, env: NodeJS.ProcessEnv): void => {
  process.env = env;
  t.teardown(() => {
    process.env = environment;
  });
};
