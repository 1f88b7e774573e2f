// Broken links and fragments of sites, as linkinator finds them. Prints one JSON object per site:
// its name, the number of links that were followed, and the broken ones.
// Usage: node links.mjs <folder with node_modules>; stdin as sites.mjs says.
// Only links into the site are followed; its own public address counts as one.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { address, serve } from './server.mjs';
import { report, sites } from './sites.mjs';

const [tools] = process.argv.slice(2);
const { LinkChecker } = await import(join(tools, 'node_modules/linkinator/build/src/index.js'));

// The public address of a site, if its entry page has one.
const publicAddress = (folder) => {
  const entry = readFileSync(join(folder, 'index.html'), 'utf8');
  const link = /<link\b[^>]*\brel="?canonical\b[^>]*>/i.exec(entry)?.[0] ?? '';
  return /\bhref="?([^"\s>]+)/i.exec(link)?.[1];
};

const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

for (const { name, folder, pages } of sites()) {
  const { origin, close } = await serve(folder);
  const own = pages.includes('index.html') ? publicAddress(folder) : undefined;
  const { links } = await new LinkChecker().check({
    path: pages.map((page) => address(origin, page)),
    recurse: true,
    checkFragments: true,
    checkCss: true,
    retry: false,
    urlRewriteExpressions: own
      ? [{ pattern: new RegExp(`^${escape(own)}`), replacement: `${origin}/` }]
      : [],
    linksToSkip: async (link) => !link.startsWith(`${origin}/`),
  });
  close();
  const followed = links.filter(({ state }) => state !== 'SKIPPED');
  const broken = links.filter(({ state }) => state === 'BROKEN');
  const inSite = (url) => url?.replace(origin, '') ?? '?';
  report(
    name,
    broken.map(
      ({ url, status, parent, failureDetails }) =>
        `${inSite(parent)} links to ${inSite(url)}: ${failureDetails?.[0]?.message ?? status}`,
    ),
    { links: followed.length },
  );
}
