/**
 * A single page for a local business.
 *
 *     order ──> four concurrent AI calls ──> copy ──> a page, a stylesheet and an icon
 *
 * - `copy.js`: the AI requests, and how their replies are cleaned
 * - `page.js`: the HTML. `style.css`: its style
 * - `colours.js`, `contact.js`, `hours.js`, `structured.js`, `words.js`: parts of the page
 */
import { progress, template, warn, writeFile } from 'sitewright';
import { colours, properties } from './colours.js';
import { contact } from './contact.js';
import { PURPOSE, write } from './copy.js';
import { icon, page } from './page.js';
import style from './style.css';
import { language } from './words.js';

export const generatorSync = template({
  name: 'landing-js',
  version: '0.1.0',
  summary:
    'A single page for a local business, in Portuguese, English or Spanish, in its own colours. ' +
    'Written in JavaScript.',
  purposes: { [PURPOSE]: 'the texts of the page: four concurrent calls' },
  locales: ['pt-BR', 'en', 'es'],

  generate(order) {
    const lang = language(order.locale);
    progress('copy', 0, 2);
    const copy = write(order, lang);

    progress('page', 1, 2);
    const contacts = contact(order, lang.words);
    contacts.notes.forEach(({ code, message }) => warn(code, message));
    const shades = colours(order);
    writeFile('index.html', page({ order, copy, contacts, lang }));
    writeFile('style.css', `:root {\n${properties(shades)}}\n${style}`);
    writeFile('favicon.svg', icon(order, shades));
  },
});
