/** The files of the site. Pure: the same input gives the same files. */
import { appIcons } from './app-icons.js';
import { card } from './card.js';
import { colours, darkColours, drawnColours, properties } from './colours.js';
import { safeUrl } from './contact.js';
import { imprintPage, legalPages, privacyPage } from './legal.js';
import { icon, notFound, page } from './page.js';
import style from './style.css';

const CARD = 'card.png';

/**
 * Path and content of each file. A site with a `site_url` also has a sitemap, `robots.txt` and a
 * picture for previews of links; the legal pages are those that the order asks for.
 */
export function files({ order, copy, contacts, lang }) {
  const shades = colours(order);
  const address = siteAddress(order);
  const photo = order.photos?.map(({ url }) => safeUrl(url)).find(Boolean);
  const image = photo ?? (address && `${address}${CARD}`);
  const legal = legalPages(order, lang);
  const site = { order, contacts, lang, legal, address, shades };
  const made = [
    ['index.html', page({ ...site, copy, image })],
    ['style.css', styleSheet(shades)],
    ['404.html', notFound({ ...site, top: topOf(address) })],
    ['favicon.svg', icon(order, shades)],
    ...appIcons(order, shades, lang),
  ];
  if (legal.imprint) made.push([legal.imprint.href, imprintPage(site)]);
  if (legal.privacy) made.push([legal.privacy.href, privacyPage(site)]);
  if (address) {
    made.push(
      ['sitemap.xml', sitemap(address, ['', ...legal.links.map(({ href }) => href)])],
      ['robots.txt', `User-agent: *\nAllow: /\n\nSitemap: ${address}sitemap.xml\n`],
      [CARD, card(shades)],
    );
  }
  return made;
}

function styleSheet(shades) {
  const dark = properties(darkColours(shades));
  const drawn = properties(drawnColours(shades));
  return (
    `:root {\n  color-scheme: light dark;\n${properties(shades)}}\n` +
    `@media (prefers-color-scheme: dark) {\n:root {\n${dark}}\n}\n` +
    `.art {\n${drawn}}\n${style}`
  );
}

/** Public URL of the site with a trailing slash; `undefined` if the order has none. */
export function siteAddress({ site_url: url }) {
  const plain = (url ?? '').trim().replace(/^https?:\/\//, '');
  const isAddress = /^[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?(\/[a-z0-9._~/-]*)?$/i.test(plain);
  return isAddress ? `https://${plain.replace(/\/+$/, '')}/` : undefined;
}

/** Where `404.html` finds the files at the top of the site, whose address may be unknown. */
export function topOf(address) {
  if (!address) return '';
  // The first is also right for a preview of the site at another host.
  return /^https:\/\/[^/]*\/$/.test(address) ? '/' : address;
}

function sitemap(address, paths) {
  const pages = paths.map((path) => `  <url><loc>${address}${path}</loc></url>\n`).join('');
  return `<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
${pages}</urlset>
`;
}
