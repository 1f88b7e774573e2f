/**
 * What the author of a Sitewright template in JavaScript depends on.
 *
 * - `template`: what a template is, and how it becomes a component
 * - `ask`, `askAll`: asking models, for a purpose, one or several at once
 * - `html`, `jsonForScript`: text that enters a page is escaped
 * - `writeFile`, `progress`, `warn`: the site, and telling what goes on
 * - `Failure`: failing, with everything that led to it
 *
 * See README.md beside this file.
 */
export { ask, askAll } from './ai.js';
export { Failure } from './failure.js';
export { Html, html, jsonForScript } from './html.js';
export { progress, warn, writeFile } from './site.js';
export { template } from './template.js';
