/** The files of the site. Pure: the same input gives the same files. */
import { card } from './card.js';
import { colours, darkColours, properties } from './colours.js';
import { safeUrl } from './contact.js';
import { icon, notFound, page } from './page.js';
import style from './style.css';

const CARD = 'card.png';

/**
 * Path and content of each file. A site with a `site_url` also has a sitemap, `robots.txt` and a
 * picture for previews of links.
 */
export function files({ order, copy, contacts, lang }) {
  const shades = colours(order);
  const address = siteAddress(order);
  const photo = order.photos?.map(({ url }) => safeUrl(url)).find(Boolean);
  const image = photo ?? (address && `${address}${CARD}`);
  const css = styleSheet(shades);
  const made = [
    ['index.html', page({ order, copy, contacts, lang, address, image, shades })],
    ['style.css', css],
    ['404.html', notFound({ order, contacts, lang, address, css })],
    ['favicon.svg', icon(order, shades)],
  ];
  if (address) {
    made.push(
      ['sitemap.xml', sitemap(address)],
      ['robots.txt', `User-agent: *\nAllow: /\n\nSitemap: ${address}sitemap.xml\n`],
      [CARD, card(shades)],
    );
  }
  return made;
}

function styleSheet(shades) {
  const dark = properties(darkColours(shades));
  return (
    `:root {\n  color-scheme: light dark;\n${properties(shades)}}\n` +
    `@media (prefers-color-scheme: dark) {\n:root {\n${dark}}\n}\n${style}`
  );
}

/** Public URL of the site with a trailing slash; `undefined` if the order has none. */
export function siteAddress({ site_url: url }) {
  const plain = (url ?? '').trim().replace(/^https?:\/\//, '');
  const isAddress = /^[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?(\/[a-z0-9._~/-]*)?$/i.test(plain);
  return isAddress ? `https://${plain.replace(/\/+$/, '')}/` : undefined;
}

function sitemap(address) {
  return `<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
  <url><loc>${address}</loc></url>
</urlset>
`;
}
