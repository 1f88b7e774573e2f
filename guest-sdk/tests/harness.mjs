// Runs the cases of harness.json with the harness of the JavaScript SDK:
// `node --import ../js/testing/register.js harness.mjs`. SITEWRIGHT is the path of the program.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  ask,
  askAll,
  createFile,
  fileExists,
  progress,
  template,
  warn,
  writeFile,
} from 'sitewright';
import { Harness, sampleOrder } from 'sitewright/testing';
import { ownFrame } from '../js/stack.js';

const table = JSON.parse(readFileSync(new URL('../harness.json', import.meta.url), 'utf8'));
const GOOD = '[[rule]]\nanswer = { text = "x" }\n';

const probe = (changes, generate) =>
  template({
    name: 'probe',
    version: '0.1.0',
    summary: 'What a case says.',
    purposes: { copywriting: 'the text' },
    locales: ['en'],
    generate,
    ...changes,
  });
const question = (user, more) => ({ purpose: 'copywriting', system: 'Write.', user, ...more });

for (const found of table.cases) {
  // Nothing waits in this language, so nothing can wait for ever.
  if (found.late) continue;
  let script = found.script === null ? undefined : (found.script ?? GOOD);
  if (found.fault) script = `[[rule]]\nanswer = { fault = { ${found.fault} } }\n`;
  const generate = () => {
    for (const [path, size] of found.write ?? []) writeFile(path, new Uint8Array(size));
    for (const [path, size] of found.chunks ?? []) {
      const file = createFile(path);
      file.append(new Uint8Array(size / 2));
      file.append(new Uint8Array(size / 2));
      file.finish();
      assert.ok(fileExists(path), path);
      for (const late of [() => file.append('more'), () => file.finish()]) {
        assert.throws(late, /is finished already/);
      }
    }
    if (found.write || found.chunks) return;
    ask(question('A text.', { purpose: found.purpose ?? 'copywriting' }));
  };
  const order = { ...sampleOrder(), ...found.order };
  const run = new Harness(script).run(probe(found.manifest, generate), order);
  assert.equal(run.failure?.code ?? null, found.code, JSON.stringify([found, run.failure]));
  if (found.code?.startsWith('ai-')) {
    assert.deepEqual(run.failure.aiCalls, ['call-1']);
    assert.equal(run.aiCalls[0].reply.tag, 'err');
  }
}

const SCRIPT =
  '[[rule]]\ncontains = ["two"]\nanswer = { text = "second" }\n' +
  '[[rule]]\ncontains = ["json"]\nanswer = { from_schema = true }\n' +
  '[[rule]]\ntimes = 2\nanswer = { text = "other" }\n';
const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };
const whole = probe({}, (order) => {
  progress('copy', 0, 1);
  const data = { city: order.primary_city };
  const names = ['one', 'two', 'three'];
  const texts = askAll(Object.fromEntries(names.map((name) => [name, question(name, { data })])));
  warn('no-hours', 'the order has no opening hours');
  writeFile('index.html', texts.two.value);
  writeFile('n.txt', String(ask(question('json', { schema })).value.n));
});
for (let round = 0; round < 2; round += 1) {
  // Each run starts at the beginning of the script.
  const run = Harness.scripted(SCRIPT).run(whole, JSON.stringify(sampleOrder())).ok();
  assert.equal(run.text('index.html'), 'second');
  assert.match(run.text('n.txt'), /^-?\d+$/);
  assert.deepEqual(run.progress, [{ stage: 'copy', done: 0, total: 1 }]);
  assert.equal(run.mostCallsAtOnce, 3);
  assert.deepEqual(
    run.aiCalls.map((call) => call.reply.val.callId),
    ['call-1', 'call-2', 'call-3', 'call-4'],
  );
  assert.equal(run.reports[0].code, 'no-hours');
  const at = run.reports[0].location;
  assert.ok(at.file.endsWith('harness.mjs') && at.line > 0, JSON.stringify(at));
  assert.ok(run.aiCalls[0].prompt.includes('Campinas'));
  assert.throws(() => run.text('missing.html'), /written: index.html, n.txt/);
}

const broken = probe({}, (order) => order.menu.soup.price);
assert.throws(() => new Harness(GOOD).run(broken, sampleOrder()), TypeError);
assert.throws(() => new Harness(GOOD).run(broken, sampleOrder()).ok(), TypeError);
const empty = probe({}, () => writeFile('index.html', undefined));
assert.throws(() => new Harness(GOOD).run(empty, sampleOrder()), /text or bytes, not undefined/);
const data = probe({}, () => ask(question('x', { data: { price: () => 1 } })));
assert.throws(
  () => new Harness(GOOD).run(data, sampleOrder()),
  /`data.price` of the question must be a value that JSON has, and is a function/,
);
for (const [changes, expected] of [
  [{ name: undefined }, 'the template has no `name`, which must be a text'],
  [{ locales: 'en' }, '`locales` of the template must be an array of texts, and is "en"'],
  [{ locales: ['en', 7] }, 'must be an array of texts, and is an array with a number at `1`'],
  [{ purposes: ['copywriting'] }, '`purposes` of the template must be an object of texts'],
  [{ purposes: { a: null } }, 'and is an object with nothing at `a`'],
  [{ siteBytes: 1.5 }, '`siteBytes` of the template must be a whole number, and is a number'],
  [{ generate: undefined }, 'the template has no function `generate`'],
]) {
  assert.throws(
    () => new Harness(GOOD).run(probe(changes, () => {}), sampleOrder()),
    (error) =>
      error instanceof TypeError &&
      error.message.includes(expected) &&
      ownFrame(error.stack).file.endsWith('harness.mjs'),
    expected,
  );
}
new Harness(GOOD).run(probe({ orderFields: null, siteBytes: null }, () => {}), sampleOrder()).ok();
const timer = probe({}, () => setTimeout(() => {}, 1));
assert.throws(() => new Harness(GOOD).run(timer, sampleOrder()), /setTimeout/);
assert.throws(() => ask(question('x')), /outside of a run/);
console.log(`${table.cases.length} cases`);
