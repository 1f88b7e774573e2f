/**
 * Stacks of the engine, with the author's files and lines in place of those of the bundle.
 *
 * `sitewright template build` appends the table of lines to the bundle
 * (`host/author/src/build/source_map.rs`). Without it, places are those of the bundle.
 *
 * @typedef {{ name: string, file: string, line: number, column?: number }} Frame
 */

/** Code that is not the author's: this package, other packages, and the glue of the engine. */
const LIBRARY = /(^|\/)(node_modules|guest-sdk\/js)\/|^initializer\.js$|^\(bundler\)$|^node:/;

/** A line of a stack in Node.js, where native tests run. */
const NODE = /^ {4}at (?:(?:async |new )?(.*?) \()?(?:file:\/\/)?([^()]+):(\d+):\d+\)?$/;

/**
 * The frames of a stack, innermost first: of lines like `price@template.js:12:7`, or
 * `    at price (file:///…/src/template.js:12:7)` in Node.js.
 *
 * @param {string} [stack]
 * @returns {Frame[]}
 */
export function frames(stack) {
  const found = [];
  for (const text of (stack ?? '').split('\n')) {
    const parts = /^([^@]*)@(.+):(\d+):(\d+)$/.exec(text);
    if (parts) found.push({ name: parts[1], ...placed(parts[2], +parts[3], +parts[4]) });
    const node = !parts && NODE.exec(text);
    if (node) found.push({ name: node[1] ?? '', file: inProject(node[2]), line: +node[3] });
  }
  return found;
}

/** What the bundler calls in place of async syntax. A native test has it in the author's file. */
const HELPER = /^__(async|asyncGenerator|await|forAwait|yieldStar)\b/;

/** Functions of this package: known by name in a bundle without lines. */
const FUNCTIONS = new RegExp(
  '^(Failure|Unsupported|_?Promise\\d*|ask|askAll|bytesOf|check|checkQuestion|' +
    'createFile|html|notePlace|opened|progress|refuse|refusePromise|refusing|warn|writeFile)(/|$)',
);

/** The innermost frame of the author's code; `undefined` if a stack has none. */
export function ownFrame(stack) {
  return frames(stack).find(
    ({ name, file, column }) =>
      !LIBRARY.test(file) &&
      !HELPER.test(name) &&
      (column === undefined || !FUNCTIONS.test(name)),
  );
}

/** A stack as text: a line for each frame. */
export function readable(stack) {
  const at = ({ name, file, line, column }) =>
    `  at ${name} (${file}:${line}${column ? `:${column}` : ''})`;
  return frames(stack).map(at).join('\n');
}

/** A path of Node.js, below the folder of the test if it is in there. */
function inProject(path) {
  const folder = `${globalThis.process?.cwd() ?? ''}/`;
  return path.startsWith(folder) ? path.slice(folder.length) : path;
}

function placed(path, line, column) {
  // Without the directory of the build machine.
  const file = path.split('/').at(-1);
  const table = globalThis.__sitewright_lines;
  if (file !== table?.bundle) return { file, line, column };
  let low = 0;
  let high = table.runs.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (table.runs[middle][0] <= line) low = middle;
    else high = middle;
  }
  const [start, index, first] = table.runs[low] ?? [1, -1, 0];
  if (index < 0) return { file: '(bundler)', line, column };
  return { file: table.files[index], line: first + line - start };
}
