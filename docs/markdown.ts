/** How the pages that are made from the code are written. */
import { format } from "prettier";

export const MADE = "<!-- Made by `npm run docs`; edit the code, not this page. -->";

/** As .prettierrc.json has it. */
export const PRINT_WIDTH = 120;

export const markdown = (text: string): Promise<string> =>
  format(text, { parser: "markdown", printWidth: PRINT_WIDTH, proseWrap: "always" });

export const table = (heads: readonly string[], lines: readonly (readonly string[])[]): string =>
  [heads, heads.map(() => "---"), ...lines].map((cells) => `| ${cells.map(cell).join(" | ")} |`).join("\n");
const cell = (text: string): string => text.replaceAll("|", "\\|");
