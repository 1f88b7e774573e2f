/**
 * The drawing beside the headline: that of the order's niche, or the one that the customer's own
 * words for the trade name.
 *
 * `drawings.json` has the drawings of the template `local-business` and the words for trades of its
 * `drawing.rs`, whose tests compare it. Its colours are classes of the style sheet.
 */
import { Html, html } from 'sitewright';
import drawings from './drawings.json';
import { fold } from './fold.js';

/** The drawing of a shop, for all trades that have none of their own. */
const GENERAL = 'general';

/** The drawing as SVG. No text of an order is in it, so it is inserted as it is. */
export function hero(order) {
  const drawing = new Html(drawings.svg[drawingOf(order)]);
  const size = html`viewBox="0 0 320 320" width="320" height="320"`;
  return html`<svg class="art" ${size} aria-hidden="true" focusable="false">${drawing}</svg>`;
}

/** The name of the drawing of an order. */
export function drawingOf({ niche, custom_niche: own }) {
  // The niche that is nearest to a bakery or a café.
  if (niche === 'restaurant' && named(own) === 'bakery') return 'bakery';
  if (niche && !['general', 'other'].includes(niche)) {
    const name = niche.replace('_', '-');
    return Object.hasOwn(drawings.svg, name) ? name : GENERAL;
  }
  return named(own);
}

/** The name of the drawing that the customer's own words for the trade name. */
function named(own) {
  const folded = fold(own ?? '');
  const typed = folded.split(' ');
  // A short Latin word is a part of many others.
  const has = (word) =>
    /^[\0-\x7f]{1,4}$/.test(word) ? typed.includes(word) : folded.includes(word);
  return drawings.trades.find(({ words }) => words.some(has))?.drawing ?? GENERAL;
}
