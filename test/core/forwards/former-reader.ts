/** How the version before format 2 reads a table: its schema and its rules, as they were in its source. */
import { z } from "zod";

const forward = z.strictObject({
  name: z.string(),
  tunnel: z.string(),
  targetHost: z.string(),
  targetPort: z.int(),
  listenPort: z.int().min(1024),
  servicePort: z.int(),
  unusedSince: z.string().optional(),
});
const table = z.strictObject({ version: z.literal(1), forwards: z.array(forward) });

/** Whether the former version reads it; if not, that version refuses every pod of the gateway (`table-invalid`). */
export const formerReads = (json: string): boolean => {
  const { data } = table.safeParse(JSON.parse(json));
  if (data === undefined) return false;
  const keys = [
    data.forwards.map(({ listenPort }) => listenPort),
    data.forwards.map(({ servicePort }) => servicePort),
    data.forwards.map(({ name }) => name),
  ];
  return keys.every((values) => new Set<unknown>(values).size === values.length);
};
