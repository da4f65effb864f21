// The page of `audit -o html` in a real browser: it sorts, filters and prints, and makes no request.
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import t, { type Test } from "tap";
import { auditPage } from "../../src/commands/audit/page.ts";
import type { ReportRow } from "../../src/commands/inject/report.ts";
import { emptyTally } from "../../src/commands/inject/tally.ts";

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const ROWS = 500;
const HOSTILE = `"><script>document.title = "taken over"</script><img src=x onerror="document.title='taken over'">`;
const outcomes = ["inject", "reject", "skip"] as const;
const row = (index: number): ReportRow => {
  const outcome = outcomes[index % 3] ?? "skip";
  const target = `10.0.${index >> 8}.${index & 255}:1433`;
  return {
    workload: `Deployment team-${index % 7}/app-${index}`,
    namespace: `team-${index % 7}`,
    where: "cluster",
    outcome,
    reason: outcome === "inject" ? "injected" : outcome === "reject" ? "target-not-allowed" : "unchanged",
    gateway: "vpn/gw",
    targets:
      outcome === "inject"
        ? [{ name: "a", target, tunnel: `wg${index % 2}`, assignment: `gw.vpn.svc:${2000 + index}` }]
        : [],
    env: [],
    warnings: index === 4 ? [HOSTILE] : [],
    ...(outcome === "reject" && { message: `targets[0]: ${target} is outside; ask the admin` }),
  };
};
const tally = { ...emptyTally(), injected: 167, rejected: 167, unchanged: 166, others: 12 };
const rows = Array.from({ length: ROWS }, (_, index) => row(index));
const html = auditPage({ rows, unreadable: [], tally, namespaces: new Map([["team-0", tally]]) }, new Date(0));

const withBrowser = async (t: Test): Promise<Browser> => {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  t.teardown(() => browser.close());
  return browser;
};

const shown = (page: Page): Promise<readonly string[]> =>
  page.locator("#workloads tbody tr:visible td:first-child").allTextContents();

if (!existsSync(CHROMIUM)) t.plan(0, `no ${CHROMIUM}: test/lab/browser/install.sh installs it`);
else {
  const folder = await mkdtemp(join(tmpdir(), "flowgen-page-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "audit.html");
  await writeFile(file, html);
  const browser = await withBrowser(t);
  const page = await browser.newPage();
  const requests: string[] = [];
  const problems: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => (message.type() === "error" ? problems.push(message.text()) : undefined));
  await page.goto(pathToFileURL(file).href);

  t.test("it has all rows and a drawing, and a manifest's words are text", async (t) => {
    t.equal((await shown(page)).length, ROWS);
    t.equal(await page.locator("#shown").textContent(), `${ROWS} of ${ROWS}`);
    t.equal(await page.title(), "flowgen gateways: who reaches what");
    t.match(await page.locator("#workloads").textContent(), "<script>document.title");
    t.ok((await page.locator("svg path").count()) > 60, "lines between namespaces, tunnels and targets");
    const box = await page.locator("svg").boundingBox();
    t.ok(box !== null && box.width > 300 && box.height > 300, JSON.stringify(box));
  });

  t.test("it sorts by each column, both ways, numbers as numbers", async (t) => {
    const head = page.getByRole("button", { name: "Workload" });
    await head.click();
    t.strictSame((await shown(page)).slice(0, 3), [
      "Deployment team-0/app-0",
      "Deployment team-0/app-7",
      "Deployment team-0/app-14",
    ]);
    t.equal(await page.locator("th[aria-sort]").getAttribute("aria-sort"), "ascending");
    await head.click();
    t.match((await shown(page))[0], /^Deployment team-6\//);
    t.equal(await page.locator("th[aria-sort]").getAttribute("aria-sort"), "descending");
    await page.getByRole("button", { name: "Outcome" }).click();
    t.equal(await page.locator("#workloads tbody tr").first().getAttribute("data-outcome"), "inject");
    t.equal(await page.locator("th[aria-sort]").count(), 1, "by one column");
  });

  t.test("it filters by words and by outcome", async (t) => {
    await page.locator("#words").fill("TEAM-3/ 10.0.1.");
    const some = await shown(page);
    t.ok(some.length > 0 && some.length < ROWS);
    for (const text of some) t.match(text, /team-3\//);
    await page.locator("#outcome").selectOption("reject");
    const rejected = await shown(page);
    t.ok(rejected.length > 0 && rejected.length < some.length);
    t.equal(await page.locator("#shown").textContent(), `${rejected.length} of ${ROWS}`);
    await page.locator("#words").fill("nothing is called so");
    t.strictSame(await shown(page), []);
    await page.locator("#words").fill("");
    await page.locator("#outcome").selectOption("");
    t.equal((await shown(page)).length, ROWS);
  });

  t.test("in print the controls are gone, and nothing is cut at the side", async (t) => {
    await page.emulateMedia({ media: "print" });
    await page.setViewportSize({ width: 794, height: 1123 }); // A4 at 96 dpi
    t.notOk(await page.locator("#words").isVisible());
    t.ok(await page.locator("#workloads").isVisible());
    const [width = 0, inner = 0] = await page.evaluate<readonly number[]>(
      "[document.documentElement.scrollWidth, innerWidth]",
    );
    t.ok(width <= inner, `${width} of ${inner}`);
    const pdf = await page.pdf({ format: "A4" });
    t.match(pdf.subarray(0, 5).toString(), "%PDF-");
    const pages = pdf.toString("latin1").match(/\/Type\s*\/Page\b/g)?.length ?? 0;
    t.ok(pages > 5, `${pages} pages`);
    await page.emulateMedia({ media: "screen" });
  });

  t.test("it made no request", async (t) => {
    t.strictSame(requests, [pathToFileURL(file).href]);
    t.strictSame(problems, []);
    t.equal(await page.evaluate(() => performance.getEntriesByType("resource").length), 0);
  });
}
