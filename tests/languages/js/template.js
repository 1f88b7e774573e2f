// A template in JavaScript that fails in the way that `extra.fault` of its order selects.
import {
  Failure,
  ask,
  createFile,
  fileExists,
  html,
  progress,
  template,
  writeFile,
} from 'sitewright';
import { priceOf } from './menu.js';

const FAULTS = {
  error: () => priceOf({ soup: 4 }, 'bread'),
  'type-error': () => undefined.price,
  'own-error': () => {
    throw new NoBread('there is no bread\nand no butter');
  },
  string: () => {
    throw 'no bread';
  },
  cause: () => {
    throw new Error('no menu', { cause: new TypeError('no bread', { cause: 'no flour' }) });
  },
  nothing: () => {
    throw undefined;
  },
  failure: () => {
    const cause = new Error('no menu', { cause: 'no bread' });
    throw new Failure('missing-service', 'no site was made', { cause });
  },
  ai: () => ask({ purpose: 'copywriting', system: 'x', user: 'fail' }),
  async: async () => {
    throw new Error('nobody sees this');
  },
  rejected: () => {
    Promise.reject(new Error('nobody sees this'));
  },
  then: () => crypto.subtle.digest('SHA-256', new Uint8Array(1)).then(() => undefined),
  timer: () => {
    setTimeout(() => {
      throw new Error('nobody sees this');
    }, 0);
  },
  microtask: () => queueMicrotask(() => undefined),
  network: () => fetch('https://example.com'),
  promise: () => ENGINE_PROMISE,
  unquoted: () => html`<a href=${'/x y'}>x</a>`,
  path: () => writeFile('../index.html', ''),
  'stack-overflow': () => recurse(0),
  spin: () => {
    for (;;) Math.random();
  },
  'memory-bomb': () => {
    const blocks = [];
    for (;;) blocks.push(new Uint8Array(1 << 20).fill(1));
  },
  'heap-full': () => {
    const pages = [];
    for (;;) pages.push({ a: pages.length });
  },
};

class NoBread extends Error {
  name = 'NoBread';
}

// Made while the template is built, where promises work.
const ENGINE_PROMISE = Promise.resolve('a promise of the build');

const recurse = (depth) => recurse(depth + 1) + 1;

export const generatorSync = template({
  name: 'scripted',
  version: '0.1.0',
  summary: 'Fails in JavaScript.',
  purposes: { copywriting: 'calls that succeed or fail, as the script says' },
  locales: ['en'],

  generate(order) {
    progress('fault', 0, 1);
    const returned = FAULTS[order.extra.fault]?.();
    if (order.extra.fault === 'promise') return returned;
    const file = createFile('index.html');
    file.append('<!doctype html>');
    file.append(html`<html lang="en"><head><title>JavaScript</title>
<meta name="description" content="A page that is whole">
<meta name="viewport" content="width=device-width"></head>
<body><h1>A page that is whole</h1>
<address>${order.business_name}, ${order.business_email ?? ''}</address></body></html>`);
    file.finish();
    if (!fileExists('index.html')) throw new Error('the page is missing');
  },
});
