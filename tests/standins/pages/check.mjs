// Opens pages in a headless browser and prints one JSON object per page: its path, and the problems
// that axe-core and the browser find.
// Usage: node check.mjs <folder with node_modules> <browser> <folder with the sites>; stdin has the
// paths of the pages in that folder, one per line: `<template>/<order>/…`. Each site has a server
// of its own, because paths may begin at its top.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { ALL_VIEWS, VIEWS, auditor } from './audit.mjs';
import { address, serve } from './server.mjs';

const [tools, executablePath, sites] = process.argv.slice(2);
const require = createRequire(join(tools, 'package.json'));
const { chromium } = require('playwright-core');
const audit = auditor(require, process.env.TESTS_PAGES === 'all' ? ALL_VIEWS : VIEWS);

const servers = new Map();
// The server of the site that a page is of, and the path of the page in the site.
const located = async (path) => {
  const parts = path.split('/');
  const site = parts.length > 2 ? parts.splice(0, 2).join('/') : '';
  if (!servers.has(site)) servers.set(site, await serve(join(sites, site)));
  return { origin: servers.get(site).origin, page: parts.join('/') };
};
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
// Without animations, because a colour in transition is not the final one.
const context = await browser.newContext({ reducedMotion: 'reduce', bypassCSP: true });
const pages = readFileSync(0, 'utf8').split('\n').filter(Boolean);
for (const path of pages) {
  const problems = [];
  const { origin, page: inSite } = await located(path);
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
  await page.goto(address(origin, inSite), { waitUntil: 'load' });
  problems.push(...(await audit(page)));
  await page.close();
  console.log(JSON.stringify({ path, problems }));
}
await browser.close();
servers.forEach(({ close }) => close());
