import { styleText } from "node:util";

/** Where a command writes. A promise is awaited before more is written: the reader may be slower than the program. */
export type Output = {
  readonly out: (text: string) => unknown;
  readonly err: (text: string) => unknown;
  /** Which of the two is a terminal that shows colours; default: none. */
  readonly colours?: { readonly out: boolean; readonly err: boolean };
  /** Standard error is a terminal, where progress is shown. */
  readonly isWatched?: boolean;
};

type Colour = "red" | "yellow" | "green" | "dim";

/** The text in a colour, where the output shows colours. */
export const coloured = ({ colours }: Output, where: "out" | "err", colour: Colour, text: string): string =>
  colours?.[where] === true ? styleText(colour, text, { validateStream: false }) : text;
