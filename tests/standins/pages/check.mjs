// Opens pages in a headless browser and says what axe-core holds against them: one JSON object for each page on stdout.
// Usage: node check.mjs <folder with node_modules> <browser> <folder with the sites>, with the pages' paths below that on stdin, one a
// line.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join } from 'node:path';

const [tools, executablePath, sites] = process.argv.slice(2);
const require = createRequire(join(tools, 'package.json'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const TYPES = { '.html': 'text/html', '.css': 'text/css', '.svg': 'image/svg+xml', '.js': 'text/javascript' };
const VIEWS = { desk: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } };

const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
  try {
    const body = readFileSync(join(sites, path));
    response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
// Nothing moves: a colour that is on its way is not the page's.
const context = await browser.newContext({ reducedMotion: 'reduce', bypassCSP: true });
const pages = readFileSync(0, 'utf8').split('\n').filter(Boolean);
for (const path of pages) {
  const problems = [];
  const page = await context.newPage();
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith('data:')) problems.push(`it asks for ${request.url()}`);
  });
  page.on('response', (response) => response.ok() || problems.push(`${response.url()} answers ${response.status()}`));
  page.on('pageerror', (error) => problems.push(`its script fails: ${error}`));
  await page.goto(`${origin}/${path.split('/').map(encodeURIComponent).join('/')}`, { waitUntil: 'load' });
  await page.evaluate(() => document.querySelectorAll('details').forEach((it) => (it.open = true)));
  await page.evaluate(axe);
  for (const [view, size] of Object.entries(VIEWS)) {
    await page.setViewportSize(size);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    for (const { id, help, nodes } of violations) {
      const places = nodes.slice(0, 3).map(({ target, failureSummary }) => `${target}: ${failureSummary.replace(/\s+/g, ' ')}`);
      problems.push(`${view}: ${id}: ${help} (${nodes.length}): ${places.join(' | ')}`);
    }
    const { scrollWidth, clientWidth } = await page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      return { scrollWidth, clientWidth };
    });
    if (scrollWidth > clientWidth) problems.push(`${view}: the page is wider than the screen`);
  }
  await page.close();
  console.log(JSON.stringify({ path, problems }));
}
await browser.close();
server.close();
