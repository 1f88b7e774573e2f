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
 * Renders a template literal as HTML. All values are escaped for text and for quoted attributes:
 * always quote attributes. `Html` is inserted unchanged, arrays are concatenated, and `undefined`,
 * `null` and `false` are empty.
 *
 * @example html`<ul class="${kind}">${names.map((name) => html`<li>${name}</li>`)}</ul>`
 */
export function html(strings, ...values) {
  return new Html(strings.reduce((page, text, at) => page + inserted(values[at - 1]) + text));
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
