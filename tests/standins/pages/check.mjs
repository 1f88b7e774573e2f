// Opens pages in a headless browser and prints one JSON object per page: its path, the problems that
// axe-core and the browser find, and whether the page has a header, which was measured.
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

// What of a header is not in one line on a wide desk; `null` if the page has none. A name may have
// several lines beside the menu.
const measured = async (page) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  return page.evaluate(() => {
    const header = document.querySelector('body > header');
    if (!header) return null;
    const boxes = (elements) =>
      [...elements]
        .map((element) => element.getBoundingClientRect())
        .filter(({ width, height }) => width > 0 && height > 0);
    const isInLine = (all) =>
      Math.max(...all.map(({ top }) => top)) < Math.min(...all.map(({ bottom }) => bottom));
    const bar = header.querySelector('.header-bar') ?? header;
    const problems = [];
    for (const [what, elements] of [
      ['the header', bar.children],
      ['the menu of the header', bar.querySelectorAll('nav > *')],
      ['the list of the menu', bar.querySelectorAll('nav li')],
    ]) {
      const all = boxes(elements);
      if (all.length > 1 && !isInLine(all)) problems.push(`1440 pixels wide, ${what} wraps`);
    }
    for (const { height } of boxes(bar.querySelectorAll('nav li'))) {
      if (height > 64) problems.push('1440 pixels wide, an entry of the menu has several lines');
    }
    return problems;
  });
};

// A long word in each heading, as a model or a customer may write one, on small phones. 320 pixels
// are what WCAG asks for (1.4.10, reflow). Changes the page: the last thing to do with it.
const WORD = 'Donaudampfschifffahrtsgesellschaftskapitänswitwenrente';
const SMALL = [320, 360, 375];
const stretched = async (page) => {
  await page.evaluate((word) => {
    for (const heading of document.querySelectorAll('h1, h2, h3')) heading.textContent = word;
  }, WORD);
  const problems = [];
  for (const width of SMALL) {
    await page.setViewportSize({ width, height: 640 });
    const { isWide, cut } = await page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      const headings = [...document.querySelectorAll('h1, h2, h3')];
      // What only screen readers see has one pixel.
      const isCut = ({ scrollWidth, clientWidth }) => clientWidth > 1 && scrollWidth > clientWidth + 1;
      const cut = headings.filter(isCut);
      return { isWide: scrollWidth > clientWidth, cut: cut.map(({ tagName }) => tagName) };
    });
    if (isWide) problems.push(`${width} pixels wide, a long word makes the page wider`);
    if (cut.length > 0) problems.push(`${width} pixels wide, a long word does not fit ${cut}`);
  }
  return problems;
};

// What moves although the visitor asked for less motion. A rule for `*` is weaker than one for a
// class.
const moving = (page) =>
  page.evaluate(() => {
    const moves = ({ transitionDuration, animationName }) =>
      animationName !== 'none' || transitionDuration.split(', ').some((time) => time !== '0s');
    const names = [...document.querySelectorAll('body *')]
      .filter((element) => [null, '::before', '::after'].some((part) => moves(getComputedStyle(element, part))))
      .map((element) => `${element.localName}.${element.className.baseVal ?? element.className}`);
    return [...new Set(names)].map((name) => `${name} moves although less motion is asked for`);
  });

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
  problems.push(...(await moving(page)), ...(await audit(page)));
  const header = await measured(page);
  problems.push(...(header ?? []), ...(await stretched(page)));
  await page.close();
  console.log(JSON.stringify({ path, problems, header: header !== null }));
}
await browser.close();
servers.forEach(({ close }) => close());
