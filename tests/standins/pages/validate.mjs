// What html-validate finds in the pages of sites with its presets `standard` and `a11y`. Prints one
// JSON object per site: its name, the number of its pages, and the errors.
// Usage: node validate.mjs <folder with node_modules>; stdin as sites.mjs says.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { report, sites } from './sites.mjs';

const [tools] = process.argv.slice(2);
const require = createRequire(join(tools, 'package.json'));
const { HtmlValidate, StaticConfigLoader } = require('html-validate');

const checker = new HtmlValidate(
  new StaticConfigLoader({
    root: true,
    extends: ['html-validate:standard', 'html-validate:a11y'],
  }),
);

for (const { name, folder, pages } of sites()) {
  const problems = [];
  for (const page of pages) {
    const text = readFileSync(join(folder, page), 'utf8');
    const { results } = await checker.validateString(text, page);
    for (const { line, column, message, ruleId } of results.flatMap(({ messages }) => messages)) {
      problems.push(`${page}:${line}:${column}: ${message} [${ruleId}]`);
    }
  }
  report(name, problems, { pages: pages.length });
}
