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

test('the sample order becomes four pages that lead to each other', () => {
  const run = Harness.scripted(script).run(generatorSync, read('order.json')).ok();
  assert.equal(run.mostCallsAtOnce, 4);
  assert.ok(run.text('services/index.html').includes('<li>Lawn care</li>'));
  assert.ok(run.text('about/index.html').includes('Maria Gate'));
  assert.ok(run.text('contact/index.html').includes('href="../services/"'));
  assert.ok(run.text('index.html').includes('href="contact/"'));
});

test('a page in Hebrew is written from right to left, in Hebrew words', () => {
  const order = { ...sampleOrder(), locale: 'he' };
  const page = Harness.scripted(script).run(generatorSync, order).ok().text('index.html');
  assert.ok(page.includes('<html lang="he" dir="rtl">') && page.includes('>יצירת קשר</a>'), page);
});

test('markup in an order is escaped', () => {
  const order = { ...sampleOrder(), business_name: '<script>alert(1)</script>' };
  const run = Harness.scripted(script).run(generatorSync, order).ok();
  // Files such as the manifest are JSON, which has no markup.
  const pages = [...run.files.keys()].filter((path) => /\.(html|svg|xml)$/.test(path));
  assert.ok(pages.includes('index.html'));
  for (const path of pages) assert.ok(!run.text(path).includes('<script>'), path);
});

test('all failed AI calls are blamed', () => {
  const faulty = '[[rule]]\nanswer = { fault = { status = 503 } }\n';
  const { failure } = Harness.scripted(faulty).run(generatorSync, sampleOrder());
  assert.equal(failure.code, 'ai-overloaded');
  assert.equal(failure.aiCalls.length, 4);
});
