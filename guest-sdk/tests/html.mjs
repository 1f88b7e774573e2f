// Runs the cases of html.json with the JavaScript SDK: `node html.mjs`.

import { readFileSync } from 'node:fs';
import { Html, html } from '../js/html.js';

const table = JSON.parse(readFileSync(new URL('../html.json', import.meta.url), 'utf8'));
const safe = (value) => {
  if (Array.isArray(value)) return value.map(safe);
  return value?.html === undefined ? value : new Html(value.html);
};

for (const { strings, values, expected, error } of table.cases) {
  let found;
  try {
    found = html(strings, ...values.map(safe)).text;
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
    found = thrown.message;
  }
  const passes = error === undefined ? found === expected : found.includes(error);
  const about = JSON.stringify(strings);
  if (!passes) throw new Error(`${about} gave ${found}, not ${expected ?? error}`);
}
console.log(`${table.cases.length} cases`);
