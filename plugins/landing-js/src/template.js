/**
 * A single page for a local business.
 *
 *     order ──> four concurrent AI calls ──> copy ──> the page and the files beside it
 *
 * - `copy.js`: the AI requests, and how their replies are cleaned
 * - `site.js`: all files. `page.js`: the HTML. `style.css`: its style. `legal.js`: the legal pages
 * - `app-icons.js`, `art.js`, `card.js`, `colours.js`, `contact.js`, `hours.js`, `structured.js`,
 *   `title.js`: parts of them
 * - `words.js`: the wording in each language
 */
import { progress, template, warn, writeFile } from 'sitewright';
import { contact } from './contact.js';
import { PURPOSE, write } from './copy.js';
import { legalPages } from './legal.js';
import { files } from './site.js';
import { language } from './words.js';

export const generatorSync = template({
  name: 'landing-js',
  version: '0.1.0',
  summary:
    'A single page for a local business, in nine languages and in its own colours. Written in ' +
    'JavaScript.',
  purposes: { [PURPOSE]: 'the texts of the page: four concurrent calls' },
  locales: ['pt-BR', 'en', 'es', 'fr', 'de', 'it', 'ar', 'he', 'ja'],

  generate(order) {
    const lang = language(order.locale);
    progress('copy', 0, 2);
    const copy = write(order, lang);

    progress('page', 1, 2);
    const contacts = contact(order, lang);
    const notes = [...contacts.notes, ...legalPages(order, lang).notes];
    notes.forEach(({ code, message }) => warn(code, message));
    for (const [path, content] of files({ order, copy, contacts, lang })) {
      writeFile(path, content);
    }
  },
});
