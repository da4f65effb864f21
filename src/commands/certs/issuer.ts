import type { Issuer } from "../../certificates/keeper.ts";

/** The X.509 library is imported when something is to be made: that is rare, and it would slow down every start. */
export const lazyIssuer: Issuer = {
  makeCa: async (...args) => (await import("../../certificates/issue.ts")).makeCa(...args),
  makeLeaf: async (...args) => (await import("../../certificates/issue.ts")).makeLeaf(...args),
};
