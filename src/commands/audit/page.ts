/**
 * `audit -o html`: one page without a request to anywhere, to hand to others; its table sorts and filters, and it reads
 * well in print.
 */
import { flowDrawing } from "./drawing.ts";
import { escaped } from "./html.ts";
import type { LiveReport, ReportRow } from "../inject/report.ts";
import type { Tally } from "../inject/tally.ts";

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #8884; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th[aria-sort=ascending] button::after { content: " ▲"; } th[aria-sort=descending] button::after { content: " ▼"; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
.reject, .fail { color: #b3261e; } .inject { color: #1a7f37; } .skip { color: #777; } .audit { color: #9a6700; }
.notes { margin: 0; padding-left: 1.1rem; }
input, select { font: inherit; padding: .3rem .5rem; margin-right: .5rem; }
svg { max-width: 100%; height: auto; } svg text { font-size: 12px; fill: currentColor; }
@media (prefers-color-scheme: dark) { .reject, .fail { color: #ff8a80; } .inject { color: #6fdd8b; } .audit { color: #e3b341; } }
@media print { .controls { display: none; } body { margin: 0; max-width: none; font-size: 11px; } tr { break-inside: avoid; } }
`;

/** Sorts by a column's text, and hides what lacks the words or the outcome. */
const SCRIPT = `
const table = document.querySelector("#workloads"), body = table.tBodies[0], words = document.querySelector("#words"), outcome = document.querySelector("#outcome"), shown = document.querySelector("#shown");
const filter = () => {
  let count = 0;
  for (const row of body.rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.value.toLowerCase().split(" ").every((word) => text.includes(word)) || (outcome.value !== "" && row.dataset.outcome !== outcome.value);
    if (!row.hidden) count += 1;
  }
  shown.textContent = count + " of " + body.rows.length;
};
words.addEventListener("input", filter);
outcome.addEventListener("input", filter);
for (const head of table.tHead.rows[0].cells) head.querySelector("button").addEventListener("click", () => {
  const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  const text = (row) => row.cells[head.cellIndex].textContent;
  body.append(...[...body.rows].sort((a, b) => sign * text(a).localeCompare(text(b), undefined, { numeric: true })));
});
filter();
`;

const HEADS = ["Workload", "Outcome", "Reason", "Gateway", "Reaches", "Findings and fixes"];
const OUTCOMES = ["inject", "audit", "skip", "reject", "fail"] as const;

/** The page. `now`: when the cluster was looked at. */
export const auditPage = ({ rows, unreadable, tally, namespaces }: LiveReport, now: Date): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>flowgen gateways: who reaches what</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Who reaches what, by which gateway and tunnel</h1>
<p>Looked at on ${now.toISOString().slice(0, 16).replace("T", " ")} UTC, as if the mode were enforce.
${tally.injected} injected, ${tally.rejected} rejected, ${tally.unchanged} unchanged, ${tally.failed} failed, ${tally.others} that ask for nothing.</p>
${unreadable.map((message) => `<p class="fail">Not read: ${escaped(message)}</p>`).join("\n")}
<h2>By namespace</h2>
${namespaceTable(namespaces)}
<h2>Drawing</h2>
${flowDrawing(rows)}
<h2>Workloads</h2>
<p class="controls"><label>Words <input id="words" type="search"></label>
<label>Outcome <select id="outcome"><option value="">all</option>${OUTCOMES.map((each) => `<option>${each}</option>`).join("")}</select></label>
<span id="shown"></span></p>
<table id="workloads">
<thead><tr>${HEADS.map((head) => `<th><button>${head}</button></th>`).join("")}</tr></thead>
<tbody>
${rows.map(rowHtml).join("\n")}
</tbody>
</table>
<script>${SCRIPT}</script>
</body>
</html>
`;

const rowHtml = (row: ReportRow): string => {
  const { workload, outcome, reason, gateway = "", targets, warnings, message, suggestion } = row;
  const reaches = targets.map(
    ({ target, tunnel, assignment }) =>
      `<code>${escaped(target)}</code> through ${escaped(tunnel)} at <code>${escaped(assignment)}</code>`,
  );
  const notes = [
    ...(message === undefined ? [] : [escaped(message)]),
    ...warnings.map(escaped),
    ...(suggestion === undefined ? [] : [`It looks as if it needed <code>${escaped(suggestion)}</code>`]),
  ];
  const cells = [
    escaped(workload),
    `<span class="${outcome}">${outcome}</span>`,
    `<code>${escaped(reason)}</code>`,
    escaped(gateway),
    reaches.join("<br>"),
    notes.length === 0 ? "" : `<ul class="notes">${notes.map((note) => `<li>${note}</li>`).join("")}</ul>`,
  ];
  return `<tr data-outcome="${outcome}">${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
};

const namespaceTable = (namespaces: ReadonlyMap<string, Tally>): string => {
  const columns = ["injected", "rejected", "unchanged", "failed", "warnings"] as const;
  const lines = [...namespaces]
    .filter(([, tally]) => columns.some((column) => tally[column] > 0))
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, tally]) => {
      const numbers = columns.map((column) => `<td class="number">${tally[column]}</td>`).join("");
      return `<tr><td>${escaped(name)}</td>${numbers}</tr>`;
    });
  const heads = ["namespace", ...columns].map((head) => `<th>${head}</th>`).join("");
  return `<table><thead><tr>${heads}</tr></thead><tbody>${lines.join("")}</tbody></table>`;
};
