/** @@name@@: a site of four pages, whose texts are asked for at the same time. */
import { askAll, html, progress, template, writeFile } from 'sitewright';
import style from '../assets/site.css';
import words from '../assets/words.json';
import { description, icon, manifest } from './head.js';

/** The pages: the file, and what the model is asked to write about. */
const PAGES = {
  home: { file: 'index.html', about: 'the business, for somebody who does not know it' },
  services: { file: 'services/index.html', about: 'its services, as an introduction to their list' },
  about: { file: 'about/index.html', about: 'the people of the business' },
  contact: { file: 'contact/index.html', about: 'how to get in touch with the business' },
};

/** The schema of the model's replies. The descriptions are sent to the model. */
const COPY = {
  type: 'object',
  additionalProperties: false,
  required: ['heading', 'text'],
  properties: {
    heading: { type: 'string', minLength: 1, maxLength: 120, description: 'At most eight words.' },
    text: { type: 'string', minLength: 40, maxLength: 1000, description: 'Two or three sentences.' },
  },
};

export const generatorSync = template({
  name: '@@name@@',
  version: '0.1.0',
  summary: 'A site of four pages: home, services, about and contact.',
  purposes: { copywriting: 'the texts of a page' },
  locales: ['en', 'pt-BR', 'es', 'fr', 'de', 'it', 'ar', 'he', 'ja'],

  generate(order) {
    const names = Object.keys(PAGES);
    progress('copy', 0, names.length);
    const data = {
      name: order.business_name,
      city: order.primary_city,
      services: order.services ?? [],
      owner: order.about_owner,
    };
    const question = (name) => ({
      purpose: 'copywriting',
      system: 'You write for small businesses: plainly, and nothing that is not in the data.',
      user:
        `page: ${name}\nWrite about ${PAGES[name].about}, in the language of the locale ` +
        `${order.locale}.`,
      data,
      schema: COPY,
    });
    const replies = askAll(Object.fromEntries(names.map((name) => [name, question(name)])));
    const copy = Object.fromEntries(names.map((name) => [name, replies[name].value]));

    for (const [done, name] of names.entries()) {
      progress('pages', done, names.length);
      writeFile(PAGES[name].file, page(order, copy, name));
    }
    writeFile('assets/site.css', style);
    writeFile('assets/icon.svg', icon(order));
    writeFile('site.webmanifest', manifest(order));
  },
});

/** The template's own words in the language of the order. */
const wordsOf = ({ locale }) => words[locale.split('-')[0]] ?? words.en;

/** What is on a page besides its text. */
const PARTS = {
  home: () => '',
  services: (order) => {
    const services = order.services ?? [];
    return services.length > 0 && html`<ul>
${services.map((service) => html`<li>${service}</li>\n`)}</ul>
`;
  },
  about: (order) => order.about_owner && html`<p>${order.about_owner}</p>\n`,
  contact: (order) => html`<address>
${links(order)}</address>
`,
};

function links(order) {
  const dialled = (number) => number.replace(/[^+0-9]/g, '');
  const { business_phone: phone, business_email: email, whatsapp_phone: chat } = order;
  return [
    phone && html`<a href="tel:${dialled(phone)}" dir="ltr">${phone}</a>\n`,
    email && html`<a href="mailto:${email}" dir="ltr">${email}</a>\n`,
    chat && html`<a href="https://wa.me/${dialled(chat).replace('+', '')}" dir="ltr">${chat}</a>\n`,
  ];
}

/** A page. `html` escapes inserted text. */
function page(order, copy, current) {
  // Relative addresses work wherever the site is served.
  const root = current === 'home' ? '' : '../';
  const { heading, text } = copy[current];
  const own = wordsOf(order);
  const menu = Object.keys(PAGES).map((name) => {
    const here = name === current && html` aria-current="page"`;
    const href = `${root}${PAGES[name].file.replace('index.html', '')}` || './';
    return html`<li><a href="${href}"${here}>${own[name]}</a></li>\n`;
  });
  const title = current === 'home' ? order.business_name : `${own[current]} · ${order.business_name}`;
  const place = [order.business_name, order.primary_city].filter(Boolean).join(own.comma);
  return html`<!doctype html>
<html lang="${order.locale}" dir="${own.dir}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<meta name="description" content="${description(text)}">
<link rel="icon" href="${root}assets/icon.svg" type="image/svg+xml">
<link rel="manifest" href="${root}site.webmanifest">
<link rel="stylesheet" href="${root}assets/site.css">
</head>
<body style="${order.primary_color ? `--brand: ${order.primary_color}` : ''}">
<header>
<p class="name"><bdi>${order.business_name}</bdi></p>
<nav>
<ul>
${menu}</ul>
</nav>
</header>
<main>
<h1>${heading}</h1>
<p class="lead">${text}</p>
${PARTS[current](order)}</main>
<footer>
${current !== 'contact' && PARTS.contact(order)}<p>${place}</p>
</footer>
</body>
</html>
`;
}
