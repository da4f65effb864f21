/** Namespaces, tunnels and targets as an SVG with lines between them. */
import { escaped } from "./html.ts";
import type { ReportRow } from "../inject/report.ts";

type Edge = { readonly namespace: string; readonly tunnel: string; readonly target: string };
/** The names of a column by their height in the drawing. `left`, `right`: where lines come in and go out. */
type Column = { readonly left: number; readonly right: number; readonly heights: ReadonlyMap<string, number> };

const LINE = 22;
const TOP = 30;
/** More would be no drawing. The table has them all. */
const MOST = 60;
const WIDEST_CELL = 44;

const column = (left: number, right: number, names: readonly string[]): Column => {
  const shown = [...new Set(names)].sort().slice(0, MOST);
  return { left, right, heights: new Map(shown.map((name, index) => [name, TOP + index * LINE])) };
};

/** The drawing of all that is reached; a sentence where nothing is. */
export const flowDrawing = (rows: readonly ReportRow[]): string => {
  const edges = rows.flatMap(({ namespace, gateway, targets }) =>
    targets.map(({ target, tunnel }): Edge => ({ namespace, tunnel: `${String(gateway)}, ${tunnel}`, target })),
  );
  if (edges.length === 0) return "<p>No workload reaches a private target.</p>";
  const of = (key: keyof Edge): readonly string[] => edges.map((edge) => edge[key]);
  const [namespaces, tunnels, targets] = [
    column(10, 290, of("namespace")),
    column(330, 650, of("tunnel")),
    column(700, 1000, of("target")),
  ] as const;
  const lines = new Set(
    edges.flatMap((edge) => [
      ...curve(namespaces, edge.namespace, tunnels, edge.tunnel),
      ...curve(tunnels, edge.tunnel, targets, edge.target),
    ]),
  );
  const columns = [namespaces, tunnels, targets];
  const labels = [
    ...labelsOf(namespaces, "namespace"),
    ...labelsOf(tunnels, "gateway, tunnel"),
    ...labelsOf(targets, "target"),
  ];
  const height = TOP + Math.max(...columns.map(({ heights }) => heights.size)) * LINE + 10;
  const more = columns.some(({ heights }) => heights.size === MOST) ? `<p>Of each column the first ${MOST}.</p>` : "";
  return `<svg viewBox="0 0 1010 ${height}" role="img" aria-label="namespaces, tunnels and targets">${[...lines, ...labels].join("")}</svg>${more}`;
};

const labelsOf = ({ left, heights }: Column, title: string): readonly string[] => [
  `<text x="${left}" y="14" font-weight="600">${title}</text>`,
  ...[...heights].map(([name, height]) => `<text x="${left}" y="${height + 4}">${escaped(cut(name))}</text>`),
];

const cut = (text: string): string => (text.length <= WIDEST_CELL ? text : `${text.slice(0, WIDEST_CELL - 1)}…`);

/** A line between two names; none where one of them is not shown. */
const curve = (from: Column, name: string, to: Column, other: string): readonly string[] => {
  const [start, end] = [from.heights.get(name), to.heights.get(other)];
  if (start === undefined || end === undefined) return [];
  const middle = (from.right + to.left - 8) / 2;
  const path = `M${from.right} ${start}C${middle} ${start} ${middle} ${end} ${to.left - 8} ${end}`;
  return [`<path d="${path}" fill="none" stroke="currentColor" stroke-opacity=".35"/>`];
};
