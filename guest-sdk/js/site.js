import * as diagnostics from 'sitewright:template/diagnostics@0.1.0';
import { write } from 'sitewright:template/site@0.1.0';
import { Failure } from './failure.js';

/**
 * Writes a file of the site. A file can be written once.
 *
 * @param {string} path a relative path with `/` between its parts: `about/index.html`
 * @param {string | import('./html.js').Html | Uint8Array} content text, which is encoded as UTF-8,
 *   or bytes
 * @throws {Failure} if the path is invalid or taken, a limit is exceeded (default: 2,000 files,
 *   8 MiB in one file, 64 MiB in all files), or the host could not store the file
 */
export function writeFile(path, content) {
  const isBytes = content instanceof Uint8Array;
  const bytes = isBytes ? content : new TextEncoder().encode(String(content));
  try {
    write(path, bytes);
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
  diagnostics.progress(stage, done, total);
}

/**
 * Adds a warning to the order's report. The run continues.
 *
 * @param {string} code a short, stable code for programs: `no-opening-hours`
 * @param {string} message the text for people
 */
export function warn(code, message) {
  diagnostics.report({
    severity: 'warning',
    code,
    message,
    causes: [],
    location: undefined,
    attributes: [],
  });
}
