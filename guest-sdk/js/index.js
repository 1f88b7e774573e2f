/**
 * The SDK for Sitewright templates in JavaScript.
 *
 * - `template`: defines and exports a template
 * - `ask`, `askAll`: AI calls, one or several concurrently
 * - `html`, `jsonForScript`: HTML with escaped values
 * - `writeFile`, `createFile`, `fileExists`: files of the site, whole or in chunks
 * - `progress`, `warn`: progress, diagnostics
 * - `Failure`: an error with its causes
 *
 * See README.md next to this file.
 */
export { ask, askAll } from './ai.js';
export { Failure } from './failure.js';
export { Html, html, jsonForScript } from './html.js';
export { createFile, fileExists, progress, warn, writeFile } from './site.js';
export { template } from './template.js';
