/**
 * Hooks of Node.js that import what `sitewright template build` bundles, in the same way: texts,
 * images and fonts, JSON, TypeScript, async functions that the engine of a component does not have,
 * and the functions of the contract, which `host.js` replaces.
 *
 * `build.json` of this package has the table of both.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const SDK = new URL('../', import.meta.url);
const { text, binary, unsupported } = JSON.parse(readFileSync(new URL('build.json', SDK), 'utf8'));

const OWN = {
  sitewright: new URL('index.js', SDK).href,
  'sitewright/testing': new URL('testing/index.js', SDK).href,
};

export async function resolve(specifier, context, next) {
  if (specifier.startsWith('sitewright:')) {
    return { url: new URL('testing/host.js', SDK).href, shortCircuit: true };
  }
  const own = OWN[specifier];
  return own ? { url: own, shortCircuit: true } : next(specifier, context);
}

export async function load(url, context, next) {
  const path = url.startsWith('file:') && fileURLToPath(url);
  if (!path || path.includes('/node_modules/')) return next(url, context);
  const extension = /[^.]*$/.exec(path)[0];
  if (text.includes(extension)) return module(JSON.stringify(await readFile(path, 'utf8')));
  if (binary.includes(extension)) {
    const base64 = (await readFile(path)).toString('base64');
    return module(`Uint8Array.from(atob(${JSON.stringify(base64)}), (c) => c.charCodeAt(0))`);
  }
  if (extension === 'json' && !context.importAttributes?.type) {
    return module(await readFile(path, 'utf8'));
  }
  const typed = ['ts', 'mts'].includes(extension);
  // A test may be async, and so may this package's own harness: only a template's code may not.
  const isTest = /[./](test|spec)\.m?[jt]s$/.test(path) || url.startsWith(SDK.href);
  if (!typed && (!['js', 'mjs'].includes(extension) || isTest)) return next(url, context);
  const source = await readFile(path, 'utf8');
  const isPlain = !/\b(async|await|fromBase64)\b/.test(uncommented(source));
  if (!typed && isPlain) return next(url, context);
  const { code } = await (await esbuild(path)).transform(source, {
    loader: typed ? 'ts' : 'js',
    format: 'esm',
    sourcefile: path,
    sourcemap: 'inline',
    supported: isTest ? {} : Object.fromEntries(unsupported.map((name) => [name, false])),
  });
  return { format: 'module', source: code, shortCircuit: true };
}

const uncommented = (source) => source.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, '');

const module = (value) => ({
  format: 'module',
  source: `export default ${value};`,
  shortCircuit: true,
});

let found;

/** The bundler of the project, which `npm install` installs. */
async function esbuild(path) {
  const folders = [pathToFileURL(`${process.cwd()}/`), pathToFileURL(path)];
  for (const folder of folders) {
    try {
      found ??= import(pathToFileURL(createRequire(folder).resolve('esbuild')).href);
      return await found;
    } catch {
      found = undefined;
    }
  }
  throw new Error(
    `${path} is TypeScript or has async functions, for which tests need esbuild: run \`npm ` +
      'install` in the project',
  );
}
