import { kindOf } from './failure.js';

/** Safe HTML, which `html` inserts without escaping. Created only by `html` and `jsonForScript`. */
export class Html {
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }
}

/**
 * Renders a template literal as HTML. All values are escaped for text and for quoted attributes.
 * `Html` is inserted unchanged, arrays are concatenated, and `undefined`, `null` and `false` are
 * empty.
 *
 * @example html`<ul class="${kind}">${names.map((name) => html`<li>${name}</li>`)}</ul>`
 *
 * @throws {TypeError} if it is called with a text, as `html('…')`; if a value is an attribute
 *   without quotes, or a text other than a name at another place inside a tag: a space in it would
 *   begin another attribute
 */
export function html(strings, ...values) {
  if (!Array.isArray(strings)) {
    throw new TypeError(
      `html needs a template literal, and got ${kindOf(strings)}: write html\`<p>\${name}</p>\`, ` +
        'without brackets, so that values are escaped',
    );
  }
  const places = placesOf(strings);
  return new Html(
    strings.reduce((page, text, at) => {
      const value = values[at - 1];
      check(places[at - 1], value, page);
      return page + inserted(value) + text;
    }),
  );
}

function inserted(value) {
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(inserted).join('');
  if (value === undefined || value === null || value === false) return '';
  return escape(String(value));
}

/**
 * Escapes for text and quoted attributes. `{`, `}`, `$` and the backtick are escaped too, so that a
 * business with the name `{{NAME}}` is not reported as a placeholder.
 */
function escape(text) {
  return text
    .replace(/[<>&"'{}$`]/g, (character) => `&#${character.codePointAt(0)};`)
    // Control characters are not allowed in HTML, not even as references.
    .replace(/[\u0000-\u0008\u000b\u000e-\u001f\u007f-\u009f]/g, ' ');
}

/** The name of an element or attribute, which is safe anywhere in a tag. */
const NAME = /^[a-zA-Z][a-zA-Z0-9-]*$/;

/** Throws if a value is not safe at its place. */
function check(place, value, before) {
  if (place === 'text' || place === 'quoted') return;
  const end = JSON.stringify(before.slice(-40));
  if (place === 'unquoted') {
    throw new TypeError(
      `an attribute has no quotes: after ${end} write \`="\${…}"\`, because a space in the value ` +
        'would begin another attribute',
    );
  }
  const isText = typeof value === 'string' && value !== '' && !NAME.test(value);
  if (isText || Array.isArray(value)) {
    throw new TypeError(
      `a text is inserted inside a tag, after ${end}: quote it as the value of an attribute, or ` +
        'insert a whole attribute that `html` made',
    );
  }
}

// The places of a template literal, which is the same object each time it is evaluated.
const PLACES = new WeakMap();

function placesOf(strings) {
  let places = PLACES.get(strings);
  if (places === undefined) {
    places = scan(strings);
    PLACES.set(strings, places);
  }
  return places;
}

/** The elements whose content is not markup. */
const RAW = ['script', 'style', 'textarea', 'title'];
const TAG = /^<(?:(!--)|(\/?)([a-zA-Z][^\s/>]*))/;

/**
 * Where each value of a literal stands: `text` (also comments and the content of scripts and
 * styles), `quoted`, `unquoted` (an attribute), or `tag` (elsewhere in a tag).
 */
function scan(strings) {
  const places = [];
  let state = 'text';
  let quote = '';
  let name = '';
  // The end tag that ends raw text, or nothing.
  let raw = '';
  for (const text of strings.slice(0, -1)) {
    let at = 0;
    while (at < text.length) {
      if (state === 'text') {
        const open = text.indexOf('<', at);
        if (open < 0) break;
        const found = TAG.exec(text.slice(open));
        at = open + 1;
        if (!raw && /^<\/?$/.test(text.slice(open))) {
          // The value is the name of the element.
          [state, name, at] = ['tag', '', text.length];
          continue;
        }
        if (!found || (raw && !(found[2] && found[3].toLowerCase() === raw))) continue;
        if (found[1]) {
          const close = text.indexOf('-->', open + 4);
          if (close < 0) state = 'comment';
          at = close < 0 ? text.length : close + 3;
          continue;
        }
        raw = '';
        name = found[2] ? '' : found[3].toLowerCase();
        state = 'tag';
        at = open + found[0].length;
      } else if (state === 'comment') {
        const close = text.indexOf('-->', at);
        if (close < 0) break;
        state = 'text';
        at = close + 3;
      } else if (state === 'quoted') {
        const close = text.indexOf(quote, at);
        if (close < 0) break;
        state = 'tag';
        at = close + 1;
      } else {
        const c = text[at];
        if (c === '>') {
          state = 'text';
          if (RAW.includes(name)) raw = name;
        } else if (c === '=') {
          state = 'unquoted';
        } else if (state === 'unquoted' && (c === '"' || c === "'")) {
          state = 'quoted';
          quote = c;
        } else if (state === 'unquoted' && !/\s/.test(c)) {
          // A literal value without quotes ends at a space; a value right after it belongs to it.
          const value = /^[^\s>]*/.exec(text.slice(at))[0];
          at += value.length;
          if (at < text.length) state = 'tag';
          continue;
        }
        at += 1;
      }
    }
    places.push(state === 'comment' ? 'text' : state);
    // The value of an attribute without quotes is refused, whatever follows it.
    if (state === 'unquoted') state = 'tag';
  }
  return places;
}

/**
 * A value as JSON for a `<script>` element. No value can close the element or look like a
 * placeholder.
 */
export function jsonForScript(value) {
  const unicode = (character) =>
    `\\u${character.codePointAt(0).toString(16).padStart(4, '0')}`;
  const safe = (literal) => literal.replace(/[<>&{}$`\u2028\u2029]/g, unicode);
  // Only string literals can contain untrusted input.
  return new Html(JSON.stringify(value).replace(/"(?:[^"\\]|\\.)*"/g, safe));
}
