import { plain } from "../../core/message.ts";

const LONGEST = 4000;
/** Escapes a text for HTML: no character of it becomes markup. */
export const escaped = (text: string): string =>
  plain(text, LONGEST).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
