// The sites that a checker is given: stdin has one per line, as a JSON object with its name, its
// folder, and its pages, which are paths in that folder.
import { readFileSync } from 'node:fs';

export const sites = () =>
  readFileSync(0, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

// Prints what was found in a page or site, as a JSON object in one line.
export const report = (path, problems, more = {}) =>
  console.log(JSON.stringify({ path, problems, ...more }));
