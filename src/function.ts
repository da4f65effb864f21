/**
 * The webhook as a function of AWS Lambda: handler `function.handler`. The code stands in commands/serve/function.ts.
 */
import { createHandler } from "./commands/serve/function.ts";

export const handler = await createHandler(process.env);
