import { plain } from "../../core/message.ts";

const LONGEST = 4000;
/** A text as HTML shows it: somebody's words are data, whatever they are. */
export const escaped = (text: string): string =>
  plain(text, LONGEST).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
