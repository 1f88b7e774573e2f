/** A piece of HTML that is safe to insert: made by `html`, and by nothing else. */
export class Html {
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }
}

/**
 * HTML with values in it. Every value is escaped, in text and in attributes (which must be quoted); what `html` made
 * itself goes in as it is, lists are joined, and `undefined`, `null` and `false` are nothing.
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
 * Besides what HTML gives a meaning to, `{`, `}`, `$` and the backtick are escaped: browsers show them the same, and a customer who
 * is called `{{NAME}}` must not look like a forgotten placeholder to whoever reads the file.
 */
function escape(text) {
  return text
    .replace(/[<>&"'{}$`]/g, (character) => `&#${character.codePointAt(0)};`)
    // Not allowed in HTML, not even as a reference.
    .replace(/[\u0000-\u0008\u000b\u000e-\u001f\u007f-\u009f]/g, ' ');
}

/** A value as JSON inside a `<script>` element: nothing in it can end the element or look like a placeholder. */
export function jsonForScript(value) {
  const unicode = (character) => `\\u${character.codePointAt(0).toString(16).padStart(4, '0')}`;
  const safe = (literal) => literal.replace(/[<>&{}$`\u2028\u2029]/g, unicode);
  // Only texts hold what strangers wrote.
  return new Html(JSON.stringify(value).replace(/"(?:[^"\\]|\\.)*"/g, safe));
}
