/** The title of a page, for the browser's tab and for search results. */

/** Maximum length, in characters: search engines cut longer titles. */
export const MAX_TITLE = 59;

/** Fewest characters of the page's own title that tell it from those of other pages. */
const FEWEST = 14;

/** What no title ends with before an ellipsis. The engine has no classes of Unicode (`\p{L}`). */
const ENDS_BADLY = /[\s.,;:!?\-–—·|/&([{'"«»„“”‘’…،؛、。・]+$/;

/**
 * The business's name, then the page's own title, cut at a word. A name that leaves no room for the
 * page's title is cut too, so that no two pages have the same title.
 */
export function title(business, own) {
  const name = business.trim().replace(/\s+/g, ' ');
  if (own.includes(name) && [...own].length <= MAX_TITLE) return own;
  const room = MAX_TITLE - [...name].length - 3;
  const part = atWord(own, room);
  if ([...part].length >= Math.min([...own].length, FEWEST)) return `${name} · ${part}`;
  const short = atWord(own, Math.floor(MAX_TITLE / 2));
  const rest = atWord(name, MAX_TITLE - [...short].length - 3);
  // Two halves of texts say less than the whole name.
  const isCutTwice = rest !== name && short !== own;
  if (isCutTwice && [...name].length <= MAX_TITLE) return name;
  return rest && short ? `${rest} · ${short}` : atWord(name || own, MAX_TITLE);
}

/**
 * The beginning of the text, at most `max` characters, with an ellipsis if something is left out.
 * Cut after a word, if there is a space in its second half.
 */
export function atWord(text, max) {
  const characters = [...text];
  if (characters.length <= max) return text;
  const short = characters.slice(0, Math.max(max - 1, 0)).join('');
  const endsAWord = /^\s/.test(text.slice(short.length));
  const space = short.lastIndexOf(' ');
  const cut = !endsAWord && space * 2 > short.length ? short.slice(0, space) : short;
  const tidy = cut.replace(ENDS_BADLY, '');
  return tidy && `${tidy}…`;
}
