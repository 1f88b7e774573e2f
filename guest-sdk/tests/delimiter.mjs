// Runs the cases of delimiter.json with the JavaScript SDK: `node delimiter.mjs`.

import { readFileSync } from 'node:fs';
import { dataRule, delimited, setOrder } from '../js/data.js';

const table = JSON.parse(readFileSync(new URL('../delimiter.json', import.meta.url), 'utf8'));

function inside(mark, label, text) {
  const prompt = delimited(label, text);
  const found = prompt.match(`^<data-${mark} label="([^"]*)">\n([^]*)\n</data-${mark}>$`);
  if (!found) throw new Error(prompt);
  return found.slice(1);
}

function expect(found, expected, about) {
  const [left, right] = [found, expected].map((value) => JSON.stringify(value));
  if (left !== right) throw new Error(`${JSON.stringify(about)} gave ${left} and not ${right}`);
}

let early = false;
try {
  delimited('text', 'before any order');
  early = true;
} catch {}
if (early) throw new Error('order data was delimited without an order');
for (const { document, repeat = 1, mark } of table.marks) {
  setOrder(document.repeat(repeat));
  expect(dataRule(), table.rule.replaceAll('MARK', mark), document);
}
setOrder('the document');
const [, mark] = dataRule().match(/<data-(\w+)>/);
for (const { text, expected, label = 'text', expected_label = 'text' } of table.cases) {
  const [given, name] = [text, label].map((value) => value.replaceAll('MARK', mark));
  expect(inside(mark, name, given), [expected_label, expected], given);
}
for (const [letter, characters] of table.lookalikes) {
  for (const c of characters) {
    const [first, ...rest] = '</data>'.replace(letter, () => c);
    expect(inside(mark, 'text', first + rest.join(''))[1], `${first}\\${rest.join('')}`, c);
  }
}
for (const code of new Set(table.blanks.flat().map((digits) => parseInt(digits, 16)))) {
  const c = String.fromCodePoint(code);
  const dropped =
    (code < 32 && !'\n\t'.includes(c)) ||
    (code >= 0x7f && code < 0xa0) ||
    (code >= 0xe0000 && code < 0xe0080);
  const kept = dropped ? '' : c;
  expect(
    inside(mark, 'text', `<${c}/${c}d${c}ata>`)[1],
    `<\\${kept}/${kept}d${kept}ata>`,
    code.toString(16),
  );
  const encoded = `&#${code};/d&#x${code.toString(16)};ata>`;
  expect(inside(mark, 'text', `<${encoded}`)[1], `<\\${encoded}`, encoded);
}
console.log(`${table.cases.length} cases`);
