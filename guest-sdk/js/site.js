import * as diagnostics from 'sitewright:template/diagnostics@0.2.0';
import { Writer, exists, write } from 'sitewright:template/site@0.2.0';
import { Failure } from './failure.js';
import { Html } from './html.js';
import { notePlace } from './place.js';

/**
 * Writes a file of the site. A file can be written once.
 *
 * @param {string} path a relative path with `/` between its parts: `about/index.html`
 * @param {string | import('./html.js').Html | Uint8Array} content text, which is encoded as UTF-8,
 *   or bytes
 * @throws {Failure} if the path is invalid or taken, a limit is exceeded (default: 2,000 files,
 *   8 MiB in one file, 64 MiB in all files), or the host could not store the file
 * @throws {TypeError} if the content is neither text nor bytes
 */
export function writeFile(path, content) {
  notePlace();
  const bytes = bytesOf(content);
  refusing(path, () => write(path, bytes));
}

/**
 * Whether the run has written a file with exactly this path.
 *
 * @param {string} path
 */
export function fileExists(path) {
  return exists(path);
}

/**
 * Begins a file that is written in chunks, so that a large one need not be in memory at once.
 * Without `finish`, the file is not written.
 *
 * @example const file = createFile('sitemap.txt'); file.append('/'); file.finish();
 *
 * @param {string} path as for `writeFile`; it is checked at once
 * @throws {Failure} as `writeFile`; `append` and `finish` too
 * @throws {Error} from `append` and `finish` after `finish`
 */
export function createFile(path) {
  notePlace();
  let writer = refusing(path, () => Writer.create(path));
  // The host stops a template that uses a writer it has given back, without a line of the author.
  const opened = () => {
    if (writer === undefined) throw new Error(`the file \`${path}\` is finished already`);
    return writer;
  };
  return {
    append(content) {
      const bytes = bytesOf(content);
      const file = opened();
      refusing(path, () => file.append(bytes));
    },
    finish() {
      const file = opened();
      writer = undefined;
      refusing(path, () => Writer.finish(file));
    },
  };
}

function bytesOf(content) {
  if (content instanceof Uint8Array) return content;
  // Of another value, a file with the text `undefined` would be published.
  if (typeof content !== 'string' && !(content instanceof Html)) {
    const kind = content === null ? 'null' : typeof content;
    throw new TypeError(`a file is text or bytes, not ${kind}`);
  }
  return new TextEncoder().encode(String(content));
}

/** Calls `work`, whose refusal becomes a `Failure`. */
function refusing(path, work) {
  try {
    return work();
  } catch (error) {
    const rejected = error.payload ?? error;
    const code = `write-${rejected.kind ?? 'other'}`;
    throw new Failure(code, rejected.message, { attributes: { path } });
  }
}

/**
 * Reports the stage of the run and that `done` of `total` steps are complete. `total` is 0 if it is
 * not known.
 */
export function progress(stage, done, total) {
  notePlace();
  diagnostics.progress(stage, done, total);
}

/**
 * Adds a warning to the order's report, with the line of the call. The run continues.
 *
 * @param {string} code a short, stable code for programs: `no-opening-hours`
 * @param {string} message the text for people
 */
export function warn(code, message) {
  const at = notePlace();
  diagnostics.report({
    severity: 'warning',
    code,
    message,
    causes: [],
    location: at && { file: at.file, line: at.line, column: at.column },
    attributes: [],
  });
}
