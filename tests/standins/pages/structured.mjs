// The structured data (JSON-LD) of sites against the vocabulary of schema.org. Prints one JSON
// object per site: its name, the number of its documents, and what is wrong in them.
// Usage: node structured.mjs <folder with node_modules>; stdin as sites.mjs says.
// schema-dts is the vocabulary as types of TypeScript: the compiler finds types and properties that
// do not exist, properties of another type, and values that a property does not take.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { report, sites } from './sites.mjs';

const [tools] = process.argv.slice(2);
const ts = createRequire(join(tools, 'package.json'))('typescript');

const SCRIPT = /<script\b[^>]*\btype=["']?application\/ld\+json\b[^>]*>([^]*?)<\/script>/gi;
const HEAD = "import type * as schema from 'schema-dts';\n";

// The declarations of one document, with the name of the type that it claims to be.
const declarations = (document) => {
  const things = Array.isArray(document) ? document : [document];
  return things.map((thing) => {
    const isGraph = thing !== null && typeof thing === 'object' && '@graph' in thing;
    const kind = [thing?.['@type']].flat()[0];
    const isName = typeof kind === 'string' && /^[A-Za-z0-9]+$/.test(kind);
    // A name that begins with a digit has a `_` before it.
    const name = isName ? `schema.${kind.replace(/^\d/, '_$&')}` : 'schema.Thing';
    const type = isGraph ? 'schema.Graph' : `schema.WithContext<Exclude<${name}, string>>`;
    return `export const thing: ${type} = ${JSON.stringify(thing, null, 1)};\n`;
  });
};

const documents = new Map();
const found = sites().map(({ name, folder, pages }) => {
  const problems = [];
  const used = new Set();
  for (const page of pages) {
    for (const [, text] of readFileSync(join(folder, page), 'utf8').matchAll(SCRIPT)) {
      try {
        if (!documents.has(text)) documents.set(text, declarations(JSON.parse(text)));
        used.add(text);
      } catch (error) {
        problems.push(`${page}: ${error.message}`);
      }
    }
  }
  return { name, problems, used };
});

// Each thing is a file that exists in memory only.
const files = new Map();
for (const [text, things] of documents) {
  for (const thing of things) files.set(join(tools, `thing-${files.size}.ts`), { text, thing });
}
const options = {
  lib: ['lib.es5.d.ts'],
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  noEmit: true,
  skipLibCheck: true,
  strict: true,
  types: [],
};
const host = ts.createCompilerHost(options);
const { getSourceFile, fileExists } = host;
host.fileExists = (path) => files.has(path) || fileExists(path);
host.getSourceFile = (path, ...more) => {
  const file = files.get(path);
  if (!file) return getSourceFile(path, ...more);
  return ts.createSourceFile(path, HEAD + file.thing, ts.ScriptTarget.ESNext);
};
const program = ts.createProgram([...files.keys()], options, host);
const errors = new Map();
for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
  const of = files.get(file?.fileName);
  // An error of the compiler itself: nothing was checked.
  if (!of) throw new Error(ts.flattenDiagnosticMessageText(messageText, '\n'));
  const line = file.text.slice(start).split('\n')[0].trim();
  const message = ts.flattenDiagnosticMessageText(messageText, ' ').replace(/\s+/g, ' ');
  const list = errors.get(of.text) ?? [];
  errors.set(of.text, [...list, `at ${line.slice(0, 200)}: ${message.slice(0, 600)}`]);
}
for (const { name, problems, used } of found) {
  for (const text of used) problems.push(...(errors.get(text) ?? []));
  report(name, problems, { documents: used.size });
}
