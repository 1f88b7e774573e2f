// Makes the mistakes of mistakes.json: `node --import ../js/testing/register.js mistakes.mjs`. Each
// is told with its file and line.
//
// The line of a mistake ends with `// ` and its id. SITEWRIGHT is the path of the program.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Failure, ask, html, template, writeFile } from 'sitewright';
import { Harness, sampleOrder } from 'sitewright/testing';
import { ownFrame } from '../js/stack.js';

const table = JSON.parse(readFileSync(new URL('../mistakes.json', import.meta.url), 'utf8'));
const lines = readFileSync(new URL(import.meta.url), 'utf8').split('\n');
const SCRIPT = `
[[rule]]
contains = ["fail"]
answer = { fault = { status = 401 } }
[[rule]]
contains = ["misfit"]
answer = { json = { other = 1 } }
[[rule]]
answer = { from_schema = true }
`;
const schema = { type: 'object', required: ['text'], properties: { text: { type: 'string' } } };
const question = (more) => ({
  purpose: 'copywriting',
  system: 'Write.',
  user: 'A line.',
  schema,
  ...more,
});

const MISTAKES = {
  'missing-value'(order) {
    return order.about_owner.toUpperCase(); // missing-value
  },
  'missing-entry'(order) {
    return order.services[9].length; // missing-entry
  },
  misspelt(order) {
    return headline(order); // misspelt
  },
  'after-a-call'() {
    ask(question());
    throw new Error('no price'); // after-a-call
  },
  'lost-task'() {
    Promise.reject(new Error('nobody awaits this')); // lost-task
  },
  'failed-call'() {
    ask(question({ user: 'fail' })); // failed-call
  },
  'undeclared-purpose'() {
    ask(question({ purpose: 'coding' })); // undeclared-purpose
  },
  misfit() {
    ask(question({ user: 'misfit' })); // misfit
  },
  'wrong-schema'() {
    ask(question({ schema: { type: 'text' } })); // wrong-schema
  },
  'wrong-path'() {
    writeFile('../about.html', 'x'); // wrong-path
  },
  'written-twice'() {
    writeFile('about.html', 'x');
    writeFile('about.html', 'x'); // written-twice
  },
  'not-escaped'(order) {
    html(`<p>${order.business_name}</p>`); // not-escaped
  },
  'no-system'() {
    ask(question({ system: undefined })); // no-system
  },
  'wrong-user'() {
    ask(question({ user: ['A line.'] })); // wrong-user
  },
  'no-quotes'(order) {
    html`<p class=${order.business_name}>x</p>`; // no-quotes
  },
  network() {
    fetch('https://example.com'); // network
  },
  timer() {
    setTimeout(() => {}, 1); // timer
  },
  recursion(order) {
    return MISTAKES.recursion(order) + 1; // recursion
  },
  'own-failure'() {
    throw new Failure('no-hours', 'the order has no opening hours'); // own-failure
  },
};

const mistaken = (generate, name = 'mistakes') =>
  template({
    name,
    version: '0.1.0',
    summary: 'What authors do.',
    purposes: { copywriting: 'the text' },
    locales: ['en'],
    generate: (order) => void generate(order),
  });

/** What the author of a test sees: the text, and the innermost line of this file. */
function told(generate) {
  let run;
  try {
    run = new Harness(SCRIPT).run(mistaken(generate), { ...sampleOrder(), locale: 'en' });
  } catch (error) {
    const [, line] = /mistakes\.mjs:(\d+)/.exec(error.stack);
    return [`${error.name}: ${error.message}`, 'mistakes.mjs', +line];
  }
  const { file, line } = run.failure.location;
  assert.throws(() => run.ok(), new RegExp(`\\(${file}:${line}\\)`));
  try {
    return run.ok();
  } catch (error) {
    return [error.message, file.split('/').at(-1), line];
  }
}

for (const { id, javascript: expected } of table.cases) {
  if (expected === null) continue;
  const [text, file, line] = told(MISTAKES[id]);
  assert.ok(text.includes(expected), `${id}: ${text}`);
  assert.equal(file, 'mistakes.mjs', id);
  assert.ok(lines[line - 1].endsWith(`// ${id}`), `${id}: line ${line}: ${lines[line - 1]}`);
}

// The bundler's function for async syntax is in the author's file, and not the author's.
for (const stack of [
  '    at __async (file:///p/src/template.js:2:10)\n    at lost (/p/src/template.js:7:23)',
  '__async@template.js:2:10\nlost@template.js:7:23',
  '__async/step<@template.js:12:10\nlost@template.js:7:23',
]) {
  assert.equal(ownFrame(stack)?.line, 7, stack);
}

const { failure } = new Harness(SCRIPT).run(mistaken(() => {}, 'Green Gate'), sampleOrder());
assert.ok(failure.message.includes(table.manifest), failure.message);
console.log(`${table.cases.length} cases`);
