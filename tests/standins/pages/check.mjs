// Opens pages in a headless browser and prints one JSON object per page: its path, and the problems
// that axe-core and the browser find.
// Usage: node check.mjs <folder with node_modules> <browser> <folder with the sites>; stdin has the
// paths of the pages in that folder, one per line.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join } from 'node:path';

import { auditor } from './audit.mjs';

const [tools, executablePath, sites] = process.argv.slice(2);
const require = createRequire(join(tools, 'package.json'));
const { chromium } = require('playwright-core');
const audit = auditor(require);

const TYPES = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.js': 'text/javascript',
};

const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
  try {
    const body = readFileSync(join(sites, path));
    const type = TYPES[extname(path)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
// Without animations, because a colour in transition is not the final one.
const context = await browser.newContext({ reducedMotion: 'reduce', bypassCSP: true });
const pages = readFileSync(0, 'utf8').split('\n').filter(Boolean);
for (const path of pages) {
  const problems = [];
  const page = await context.newPage();
  page.on('request', (request) => {
    const url = request.url();
    if (url.startsWith(`${origin}/`) || url.startsWith('data:')) return;
    problems.push(`it asks for ${url}`);
  });
  page.on('response', (response) => {
    if (!response.ok()) problems.push(`${response.url()} answers ${response.status()}`);
  });
  page.on('pageerror', (error) => problems.push(`its script fails: ${error}`));
  const url = `${origin}/${path.split('/').map(encodeURIComponent).join('/')}`;
  await page.goto(url, { waitUntil: 'load' });
  problems.push(...(await audit(page)));
  await page.close();
  console.log(JSON.stringify({ path, problems }));
}
await browser.close();
server.close();
