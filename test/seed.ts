/** Properties are checked on the same cases in every run; `FC_SEED=random npm test` looks at others. */
import fc from "fast-check";

const wished = process.env["FC_SEED"];
fc.configureGlobal({ seed: wished === "random" ? Date.now() : Number(wished ?? 1) });
