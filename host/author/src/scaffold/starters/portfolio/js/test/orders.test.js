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

test('the sample order becomes a page with work and words', () => {
  const run = Harness.scripted(script).run(generatorSync, read('order.json')).ok();
  const page = run.text('index.html');
  for (const expected of [
    '<a href="https://photos.example.com/wedding.jpg">A wedding at the lake</a>',
    '<a href="https://photos.example.com/ridge.jpg">Photo 2</a>',
    '<li>Portraits</li>',
    '<p dir="auto">She saw what we would have missed.</p>\n<p>– Ada and Tom, Newlyweds</p>',
  ]) {
    assert.ok(page.includes(expected), `${expected} is missing in ${page}`);
  }
});

test('a business without photos has a site, and its operator a warning', () => {
  const order = { ...sampleOrder(), photos: [] };
  const run = Harness.scripted(script).run(generatorSync, order).ok();
  assert.equal(run.reports[0].code, 'no-work');
  assert.ok(!run.text('index.html').includes('Fotos</h2>'));
});

test('a page in Hebrew is written from right to left, in Hebrew words', () => {
  const order = { ...sampleOrder(), locale: 'he', photos: [{ url: 'https://example.com/a.jpg' }] };
  const page = Harness.scripted(script).run(generatorSync, order).ok().text('index.html');
  assert.ok(page.includes('<html lang="he" dir="rtl">') && page.includes('תמונה 1</a>'), page);
});

test('markup in an order is escaped', () => {
  const order = { ...sampleOrder(), testimonials: [{ text: '<script>alert(1)</script>' }] };
  const run = Harness.scripted(script).run(generatorSync, order).ok();
  assert.ok(!run.text('index.html').includes('<script>'));
});
