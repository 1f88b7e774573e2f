// Loads the template in Node.js: the SDK by its name, style sheets as text, pictures as bytes, and
// functions of the host that do nothing.
import { readFileSync } from 'node:fs';
import { register } from 'node:module';

const SDK = new URL('../../../guest-sdk/js/index.js', import.meta.url).href;
const HOST = `
  export const completeAll = () => [];
  export const panicked = () => {};
  export const progress = () => {};
  export const report = () => {};
  export const write = () => {};
  export const exists = () => false;
  export class Writer {}
`;

if (!import.meta.url.includes('?hooks')) register(`${import.meta.url}?hooks`);

export function resolve(name, context, next) {
  if (name === 'sitewright') return { url: SDK, shortCircuit: true };
  if (name.startsWith('sitewright:')) return { url: `host:${name}`, shortCircuit: true };
  return next(name, context);
}

export function load(url, context, next) {
  const module = (source) => ({ format: 'module', source, shortCircuit: true });
  if (url.startsWith('host:')) return module(HOST);
  const read = () => readFileSync(new URL(url));
  if (url.endsWith('.css')) return module(`export default ${JSON.stringify(String(read()))};`);
  if (url.endsWith('.json')) return module(`export default ${read()};`);
  if (url.endsWith('.png') || url.endsWith('.bin')) {
    return module(`export default Uint8Array.from(${JSON.stringify([...read()])});`);
  }
  return next(url, context);
}
