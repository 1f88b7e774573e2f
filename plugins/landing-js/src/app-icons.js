/**
 * The icons of the site on home screens and in tabs, and the web app manifest that lists them.
 *
 * `icons.bin` has a drawing for each letter, which `plugins/local-business/art/icons.py` makes. An
 * icon is the drawing with the brand's colours as its palette.
 */
import { recoloured } from './card.js';
import { hex, mix } from './colours.js';
import icons from './icons.bin';
import { isRightToLeft } from './words.js';

/** Paths of the icons, and their sides in pixels. */
const FILES = { 'apple-touch-icon.png': 180, 'icon-192.png': 192, 'icon-512.png': 512 };

/** Number of colours of a drawing, from the background to the letter. */
const SHADES = 16;

/** Stands for names without a Latin letter and digit. */
const MARK = ' ';

/** Letters with accents, and the same without. */
const ACCENTS = 'ÁÀÂÃÄÅÇÉÈÊËÍÌÎÏÑÓÒÔÕÖØÚÙÛÜŞŠŽČŁ';
const PLAIN = 'AAAAAACEEEEIIIINOOOOOOUUUUSSZCL';

/** Path and content of each icon and of the manifest. */
export function appIcons(order, shades, lang) {
  const palette = Array.from({ length: SHADES }, (_, shade) =>
    mix(shades.brand, shades.onBrand, shade / (SHADES - 1)),
  );
  const letter = letterOf(order.business_name);
  const made = Object.entries(FILES).map(([path, side]) => [
    path,
    recoloured(drawing(letter, side), palette),
  ]);
  return [...made, ['site.webmanifest', manifest(order, shades, lang)]];
}

/** The first letter or digit of a name; `undefined` if it has none. */
export function firstLetter(name) {
  const isLetter = (character) => /[0-9a-z\u00c0-\uffff]/i.test(character);
  return [...name.trim()].find(isLetter);
}

/** The letter or digit that stands for a name: that of its favicon, without an accent. */
export function letterOf(name) {
  const first = (firstLetter(name) ?? MARK).toUpperCase();
  const at = ACCENTS.indexOf(first);
  const plain = at < 0 ? first : PLAIN[at];
  return /^[0-9A-Z]$/.test(plain) ? plain : MARK;
}

/** The drawing of a letter. The file has the letter, the side, the length and the PNG of each. */
export function drawing(letter, side) {
  const view = new DataView(icons.buffer, icons.byteOffset, icons.byteLength);
  for (let at = 0; at < icons.length; ) {
    const end = at + 7 + view.getUint32(at + 3);
    if (icons[at] === letter.charCodeAt(0) && view.getUint16(at + 1) === side) {
      return icons.slice(at + 7, end);
    }
    at = end;
  }
  throw new Error(`there is no drawing of ${letter} with ${side} pixels`);
}

/** The web app manifest as JSON. */
function manifest(order, { brand, paper }, lang) {
  const large = { src: 'icon-512.png', sizes: '512x512', type: 'image/png' };
  const app = {
    name: order.business_name,
    lang: lang.tag,
    dir: isRightToLeft(lang) ? 'rtl' : 'ltr',
    start_url: 'index.html',
    display: 'minimal-ui',
    background_color: hex(paper),
    theme_color: hex(brand),
    icons: [
      { src: 'favicon.svg', sizes: 'any', type: 'image/svg+xml' },
      { src: 'icon-192.png', sizes: '192x192', type: 'image/png' },
      large,
      // Launchers may cut it to a circle: the letter is within.
      { ...large, purpose: 'maskable' },
    ],
  };
  return `${JSON.stringify(app, null, 2)}\n`;
}
