/** The webhook as a function of AWS Lambda: handler `function.handler`. What it does stands in commands/function.ts. */
import { createHandler } from "./commands/serve/function.ts";

export const handler = await createHandler(process.env);
