/** What the head of every page leads to: a description, the icon, the web app manifest. */
import { html } from 'sitewright';

/** The colour of businesses that have none: that of `assets/site.css`. */
const BRAND = '#2f6f4f';

/** Maximum length of a description in characters: search results show no more. */
const LONGEST = 160;

/** The first sentences of a text for search results; if they are too long, its first words. */
export function description(text) {
  const characters = [...text];
  if (characters.length <= LONGEST) return text;
  const start = characters.slice(0, LONGEST - 1).join('');
  const sentences = /^[^]{39,}(?:[。！？]|[.!?؟](?=\s))/.exec(start);
  return sentences ? sentences[0] : `${start.replace(/\s+\S*$/, '')}…`;
}

/** The icon: the first letter of the name, on white in a frame, so that any colour will do. */
export function icon({ business_name: name, primary_color: brand }) {
  const [letter = ''] = name;
  const frame = html`fill="#fff" stroke="${brand || BRAND}" stroke-width="8"`;
  const font = html`fill="#1d2320" font-family="sans-serif" font-size="32" font-weight="700"`;
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
<rect x="4" y="4" width="56" height="56" rx="12" ${frame}/>
<text x="32" y="43" text-anchor="middle" ${font}>${letter.toUpperCase()}</text>
</svg>
`;
}

/**
 * The manifest: name, colour and icon on home screens. iPhones want a PNG: to give them one, write
 * it beside the icon, and link to it with `rel="apple-touch-icon"`.
 */
export function manifest({ business_name: name, locale, primary_color: brand }) {
  const app = {
    name,
    lang: locale,
    start_url: 'index.html',
    display: 'minimal-ui',
    background_color: '#ffffff',
    theme_color: brand || BRAND,
    icons: [{ src: 'assets/icon.svg', sizes: 'any', type: 'image/svg+xml' }],
  };
  return `${JSON.stringify(app, null, 2)}\n`;
}
