/**
 * Tests of the template in Node.js: no WebAssembly, no host, no network.
 *
 * Run them with `sitewright template test --native`, or with `npm test`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { Harness, sampleOrder } from 'sitewright/testing';
import { generatorSync } from '../@@main@@';

const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const script = read('ai.toml');

test('the sample order becomes a page', () => {
  const order = JSON.parse(read('order.json'));
  const run = Harness.scripted(script).run(generatorSync, order).ok();
  // As visitors read it: a name may have characters that the page escapes.
  const character = (_, code) => String.fromCodePoint(code);
  const page = run.text('index.html').replace(/&#(\d+);/g, character);
  for (const expected of [
    `<html lang="${order.locale}">`,
    order.business_name,
    ...order.services.map((service) => `<li>${service}</li>`),
  ]) {
    assert.ok(page.includes(expected), `${expected} is missing in ${page}`);
  }
  assert.ok(run.files.has('assets/site.css'));
  assert.equal(JSON.parse(run.text('site.webmanifest')).name, order.business_name);
});

test('markup in an order is escaped', () => {
  const order = { ...sampleOrder(), business_name: '<script>alert(1)</script>' };
  const run = Harness.scripted(script).run(generatorSync, order).ok();
  assert.ok(!run.text('index.html').includes('<script>'));
  assert.ok(run.text('assets/icon.svg').includes('>&#60;</text>'));
  // The prompt contains order texts as data.
  assert.ok(run.aiCalls[0].prompt.includes('alert(1)'));
});

test('a failed AI call fails the run and is blamed', () => {
  const faulty = '[[rule]]\nanswer = { fault = { status = 503 } }\n';
  const { failure } = Harness.scripted(faulty).run(generatorSync, sampleOrder());
  assert.equal(failure.code, 'ai-overloaded');
  assert.deepEqual(failure.aiCalls, ['call-1']);
});
