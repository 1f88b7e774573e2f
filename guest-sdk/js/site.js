import * as diagnostics from 'sitewright:template/diagnostics@0.1.0';
import { write } from 'sitewright:template/site@0.1.0';
import { Failure } from './failure.js';

/**
 * Writes one file of the site; each path once.
 *
 * @param {string} path relative, `/` between its parts: `about/index.html`
 * @param {string | import('./html.js').Html | Uint8Array} content
 */
export function writeFile(path, content) {
  const bytes = content instanceof Uint8Array ? content : new TextEncoder().encode(String(content));
  try {
    write(path, bytes);
  } catch (error) {
    const refused = error.payload ?? error;
    throw new Failure(`write-${refused.kind ?? 'other'}`, refused.message, { attributes: { path } });
  }
}

/** The stage the run is in, with `done` of `total` steps; 0 for an unknown total. */
export function progress(stage, done, total) {
  diagnostics.progress(stage, done, total);
}

/** A line in the order's report that stops nothing. `code` is for machines: `no-opening-hours`. */
export function warn(code, message) {
  diagnostics.report({ severity: 'warning', code, message, causes: [], location: undefined, attributes: [] });
}
