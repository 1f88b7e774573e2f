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

test('each post of the sample order is a page, and the home page lists the newest first', () => {
  const run = Harness.scripted(script).run(generatorSync, read('order.json')).ok();
  assert.equal(run.aiCalls.length, 1);
  const links = [...run.text('index.html').matchAll(/href="(posts\/[^"]*)"/g)].map(([, to]) => to);
  assert.deepEqual(links, [
    'posts/the-stand-in-the-yard-is-open-again/',
    'posts/why-your-chain-skips/',
    'posts/how-we-build-a-wheel/',
  ]);
  const page = run.text('posts/the-stand-in-the-yard-is-open-again/index.html');
  for (const expected of [
    '<time datetime="2026-05-02">2026-05-02</time>',
    '<a href="https://photos.example.com/stand.jpg">The repair stand in the yard</a>',
    '<a href="../../">All articles</a>',
  ]) {
    assert.ok(page.includes(expected), `${expected} is missing in ${page}`);
  }
});

test('without posts, articles about the services have no date, and the operator a warning', () => {
  const run = Harness.scripted(script).run(generatorSync, sampleOrder()).ok();
  assert.equal(run.reports[0].code, 'no-posts');
  assert.equal(run.mostCallsAtOnce, 3);
  assert.ok(run.text('posts/2/index.html').includes('What to ask before you order'));
  assert.ok(!run.text('posts/2/index.html').includes('<time'));
});

test('a page in Hebrew is written from right to left, in Hebrew words', () => {
  const order = { ...sampleOrder(), locale: 'he', posts: [{ title: 'x', text: 'y' }] };
  const page = Harness.scripted(script).run(generatorSync, order).ok().text('index.html');
  assert.ok(page.includes('<html lang="he" dir="rtl">') && page.includes('<h2>מאמרים</h2>'), page);
});

test('markup in an order is escaped', () => {
  const posts = [{ title: '<script>', text: '<script>alert(1)</script>' }];
  const order = { ...sampleOrder(), posts };
  const run = Harness.scripted(script).run(generatorSync, order).ok();
  // Files such as the manifest are JSON, which has no markup.
  const pages = [...run.files.keys()].filter((path) => /\.(html|svg|xml)$/.test(path));
  assert.ok(pages.includes('index.html'));
  for (const path of pages) assert.ok(!run.text(path).includes('<script>'), path);
});
