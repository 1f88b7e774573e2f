/** @@name@@: the site of a restaurant, with its menu and its opening hours. */
import { ask, html, progress, template, warn, writeFile } from 'sitewright';
import style from '../assets/site.css';
import words from '../assets/words.json';
import { description, icon, manifest } from './head.js';

/** The schema of the model's reply. The descriptions are sent to the model. */
const COPY = {
  type: 'object',
  additionalProperties: false,
  required: ['headline', 'about'],
  properties: {
    headline: { type: 'string', minLength: 1, maxLength: 120, description: 'At most eight words.' },
    about: {
      type: 'string',
      minLength: 40,
      maxLength: 1000,
      description: 'Two or three sentences about the restaurant, for its guests.',
    },
  },
};

export const generatorSync = template({
  name: '@@name@@',
  version: '0.1.0',
  summary: 'The site of a restaurant, with its menu and its opening hours.',
  purposes: { copywriting: 'the headline and the text below it' },
  locales: ['en', 'pt-BR', 'es', 'fr', 'de', 'it', 'ar', 'he', 'ja'],

  generate(order) {
    progress('copy', 0, 1);
    const menu = order.menu ?? [];
    // The site is made all the same; the operator sees what it lacks.
    if (menu.length === 0) warn('no-menu', 'the site shows no menu: `menu` is empty');
    const copy = ask({
      purpose: 'copywriting',
      system:
        'You write for restaurants: plainly, and nothing that is not in the data. Name no dish, ' +
        'price or time: they stand beside your text.',
      user: `Write the copy of a website, in the language of the locale ${order.locale}.`,
      data: {
        name: order.business_name,
        city: order.primary_city,
        about: order.site_description,
        services: order.services ?? [],
        sections: menu.map(({ section }) => section).filter(Boolean),
      },
      schema: COPY,
    }).value;

    progress('page', 0, 1);
    writeFile('index.html', page(order, copy));
    writeFile('assets/site.css', style);
    writeFile('assets/icon.svg', icon(order));
    writeFile('site.webmanifest', manifest(order));
  },
});

/** The template's own words in the language of the order. */
const wordsOf = ({ locale }) => words[locale.split('-')[0]] ?? words.en;

/** The menu, as the customer wrote it. */
function menuOf({ menu = [] }, { comma }) {
  const dish = ({ name, description, price, allergens = [] }) => {
    const details = [description, allergens.length > 0 && `(${allergens.join(comma)})`];
    const text = details.filter(Boolean).join(' ');
    return html`<div class="dish">
<p><strong>${name}</strong>${text && html`<br>${text}`}</p>
${price && html`<p>${price}</p>\n`}</div>
`;
  };
  return menu.map(
    ({ section, items }) => html`${section && html`<h3>${section}</h3>\n`}${items.map(dish)}`,
  );
}

/** The opening hours. A day that is not listed has hours that nobody knows. */
function hoursOf({ business_hours: hours = [] }, { days, closed, comma }) {
  const times = (ranges) => ranges.map((range) => range.replace('-', ' – ')).join(comma);
  return hours.map(
    ({ day, ranges }) =>
      html`<dt>${days[day]}</dt>\n<dd>${ranges.length > 0 ? times(ranges) : closed}</dd>\n`,
  );
}

/** The page. `html` escapes inserted text. */
function page(order, copy) {
  const dialled = (number) => number.replace(/[^+0-9]/g, '');
  const { business_phone: phone, business_email: email, whatsapp_phone: chat } = order;
  const links = [
    phone && html`<a href="tel:${dialled(phone)}" dir="ltr">${phone}</a>\n`,
    email && html`<a href="mailto:${email}" dir="ltr">${email}</a>\n`,
    chat && html`<a href="https://wa.me/${dialled(chat).replace('+', '')}" dir="ltr">${chat}</a>\n`,
  ];
  const own = wordsOf(order);
  const [menu, hours] = [menuOf(order, own), hoursOf(order, own)];
  const place = [order.business_name, order.business_address, order.primary_city];
  return html`<!doctype html>
<html lang="${order.locale}" dir="${own.dir}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${order.business_name}</title>
<meta name="description" content="${description(copy.about)}">
<link rel="icon" href="assets/icon.svg" type="image/svg+xml">
<link rel="manifest" href="site.webmanifest">
<link rel="stylesheet" href="assets/site.css">
</head>
<body style="${order.primary_color ? `--brand: ${order.primary_color}` : ''}">
<header>
<p class="name"><bdi>${order.business_name}</bdi></p>
<h1>${copy.headline}</h1>
</header>
<main>
<p class="lead">${copy.about}</p>
${order.booking_url && html`<p><a href="${order.booking_url}">${own.book}</a></p>
`}${menu.length > 0 && html`<h2>${own.menu}</h2>
${menu}`}${hours.length > 0 && html`<h2>${own.hours}</h2>
<dl>
${hours}</dl>
`}</main>
<footer>
<address>
${links}</address>
<p>${place.filter(Boolean).join(own.comma)}</p>
</footer>
</body>
</html>
`;
}
