// Lighthouse on a phone. Prints one JSON object per page: its path, its scores of 0 to 100, the
// audits that failed, and the time until its largest element is shown.
// Usage: node lighthouse.mjs <folder with node_modules> <browser> <times>; stdin as sites.mjs says.
// In place of a folder, a site may have the origin of a server that runs, with the headers of every
// request; its pages are then the paths and queries of addresses, without the first slash.
// A page whose performance is below 95 is measured up to <times> times, and the best counts: other
// work of the machine makes a page slower, never faster.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { address, serve } from './server.mjs';
import { report, sites } from './sites.mjs';

const [tools, chromePath, times] = process.argv.slice(2);
const modules = join(tools, 'node_modules');
const { default: lighthouse } = await import(join(modules, 'lighthouse/core/index.js'));
const { launch } = await import(join(modules, 'chrome-launcher/dist/index.js'));

const FAST = 95;
const NOINDEX = /<meta\b[^>]*\bnoindex\b/i;
const CATEGORIES = ['performance', 'accessibility', 'best-practices', 'seo'];
// The network and processor of a phone are simulated: the load that is observed at the full speed
// of the machine is computed for 1.6 Mbit/s, 150 ms and a processor that is four times slower.
const FLAGS = {
  formFactor: 'mobile',
  throttlingMethod: 'simulate',
  onlyCategories: CATEGORIES,
  disableFullPageScreenshot: true,
  logLevel: 'error',
};

const chrome = await launch({
  chromePath,
  chromeFlags: ['--headless', '--no-sandbox', '--disable-gpu'],
  logLevel: 'error',
});
// The browser is in a process group of its own and would outlive this process.
process.once('SIGTERM', () => {
  chrome.kill();
  process.exit(1);
});
const measure = async (url, more) => {
  const { lhr } = await lighthouse(url, { ...FLAGS, ...more, port: chrome.port });
  if (lhr.runtimeError) throw new Error(`${url}: ${lhr.runtimeError.message}`);
  const shown = lhr.finalDisplayedUrl;
  if (more.extraHeaders && shown !== new URL(url).href) {
    throw new Error(`${url}: the browser shows ${shown}, such as the form to log in`);
  }
  const scores = Object.fromEntries(
    CATEGORIES.map((name) => [name, Math.round(lhr.categories[name].score * 100)]),
  );
  const problems = [];
  for (const name of CATEGORIES.filter((name) => name !== 'performance')) {
    for (const { id, weight } of lhr.categories[name].auditRefs) {
      const { score, title, details } = lhr.audits[id];
      if (weight === 0 || score === null || score >= 1) continue;
      const items = (details?.items ?? []).slice(0, 3).map((item) => JSON.stringify(item));
      problems.push(`${name}: ${id}: ${title}: ${items.join(' ')}`.slice(0, 600));
    }
  }
  const largest = Math.round(lhr.audits['largest-contentful-paint'].numericValue);
  return { scores, problems, largest };
};

// A page of a server, as text.
const read = async (url, headers) => {
  const answer = await fetch(url, { headers, redirect: 'manual' });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
  return answer.text();
};

try {
  for (const { name, folder, pages, ...server } of sites()) {
    const { origin, close } = folder ? await serve(folder) : { origin: server.origin };
    const extraHeaders = server.headers ?? null;
    for (const page of pages) {
      const url = folder ? address(origin, page) : `${origin}/${page}`;
      const text = folder
        ? readFileSync(join(folder, page), 'utf8')
        : await read(url, extraHeaders ?? {});
      // Pages such as 404.html ask not to be indexed, which costs them the mark for it.
      const skipAudits = NOINDEX.test(text) ? ['is-crawlable'] : [];
      let best;
      for (let done = 0; done < Number(times); done += 1) {
        const found = await measure(url, { skipAudits, extraHeaders });
        if (!best || found.scores.performance > best.scores.performance) best = found;
        if (best.scores.performance >= FAST) break;
      }
      const { problems, ...more } = best;
      report(`${name}/${page}`, problems, more);
    }
    close?.();
  }
} finally {
  await chrome.kill();
}
