// A report in a real browser: axe in light and dark, on a desk and on a phone, with cases opened; pictures are the record.
// usage: PACKAGES=… CHROMIUM=… PICTURES=folder node look.mjs REPORT.html
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.PACKAGES}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const pictures = process.env.PICTURES;
mkdirSync(pictures, { recursive: true });

const found = { violations: [], complaints: [], requests: [] };
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu"],
});
const page = await browser.newPage();
page.on("console", (said) => { if (said.type() === "error") found.complaints.push(said.text()); });
page.on("request", (request) => found.requests.push(request.url()));
await page.goto(pathToFileURL(process.argv[2]).href);
await page.evaluate(() => [...document.querySelectorAll("details")].slice(0, 3).forEach((item) => { item.open = true; }));
await page.evaluate(axe);
for (const scheme of ["light", "dark"]) {
  for (const width of [1200, 360]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 900 });
    const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    for (const { id, nodes } of result.violations) {
      found.violations.push(`${scheme} ${width}: ${id} ${nodes.length} ${nodes[0].target} ${nodes[0].failureSummary}`);
    }
    const isWide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    if (isWide) found.violations.push(`${scheme} ${width}: wider than the screen`);
    await page.screenshot({ path: `${pictures}/${scheme}-${width}.png`, fullPage: true });
  }
}
await browser.close();
console.log(JSON.stringify(found));
