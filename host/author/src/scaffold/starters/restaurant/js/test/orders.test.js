/**
 * Tests of the template in Node.js: no WebAssembly, no host, no network.
 *
 * Run them with `sitewright template test --native`, or with `npm test`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { Harness, sampleOrder } from 'sitewright/testing';
import { generatorSync } from '../src/template.js';

const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const script = read('ai.toml');

test('the sample order becomes a page with menu and hours', () => {
  const run = Harness.scripted(script).run(generatorSync, read('order.json')).ok();
  const page = run.text('index.html');
  for (const expected of [
    '<h3>Soups</h3>',
    '<strong>Corn chowder</strong><br>(milk)',
    '<dt>Friday</dt>\n<dd>11:30 – 15:00, 18:00 – 22:00</dd>',
    '<dt>Monday</dt>\n<dd>Closed</dd>',
    'href="https://booking.example.com/copper-ladle"',
  ]) {
    assert.ok(page.includes(expected), `${expected} is missing in ${page}`);
  }
});

test('a restaurant without a menu has a site, and its operator a warning', () => {
  const run = Harness.scripted(script).run(generatorSync, sampleOrder()).ok();
  assert.equal(run.reports[0].code, 'no-menu');
  assert.ok(!run.text('index.html').includes('Cardápio</h2>'));
});

test('a page in Hebrew is written from right to left, in Hebrew words', () => {
  const order = { ...sampleOrder(), locale: 'he', business_hours: [{ day: 'monday', ranges: [] }] };
  const page = Harness.scripted(script).run(generatorSync, order).ok().text('index.html');
  assert.ok(page.includes('<html lang="he" dir="rtl">') && page.includes('<dd>סגור</dd>'), page);
});

test('the times of a day are joined as the language does', () => {
  const business_hours = [{ day: 'monday', ranges: ['11:00-14:00', '18:00-21:00'] }];
  const order = { ...sampleOrder(), locale: 'ja', business_hours };
  const page = Harness.scripted(script).run(generatorSync, order).ok().text('index.html');
  assert.ok(page.includes('<dd>11:00 – 14:00、18:00 – 21:00</dd>'), page);
});

test('markup in an order is escaped', () => {
  const dish = { name: '<script>alert(1)</script>' };
  const order = { ...sampleOrder(), menu: [{ section: '<b>', items: [dish] }] };
  const run = Harness.scripted(script).run(generatorSync, order).ok();
  assert.ok(!run.text('index.html').includes('<script>'));
});
