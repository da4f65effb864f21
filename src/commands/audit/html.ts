import { plain } from "../../core/message.ts";

const LONGEST_CELL = 4000;
/** Escapes a text for HTML: no character of it becomes markup. */
export const escaped = (text: string): string =>
  plain(text, LONGEST_CELL).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
