import type { Test } from "tap";

const environment = process.env;

/**
 * Sets the whole environment until a test ends. `t.intercept` would take a stack at each access, and loading a module
 * accesses it.
 */
export const setEnv = (t: Test, env: NodeJS.ProcessEnv): void => {
  process.env = env;
  t.teardown(() => {
    process.env = environment;
  });
};
