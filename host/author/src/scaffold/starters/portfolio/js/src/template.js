/** @@name@@: a portfolio, with the work of the business and what its clients say. */
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
      description: 'Two or three sentences about the work, for those who may order it.',
    },
  },
};

export const generatorSync = template({
  name: '@@name@@',
  version: '0.1.0',
  summary: '@@summary@@',
  purposes: { copywriting: 'the headline and the text below it' },
  locales: ['en', 'pt-BR', 'es', 'fr', 'de', 'it', 'ar', 'he', 'ja'],

  generate(order) {
    progress('copy', 0, 1);
    const photos = order.photos ?? [];
    // The site is made all the same; the operator sees what it lacks.
    if (photos.length === 0) warn('no-work', 'the site shows no work: `photos` is empty');
    const copy = ask({
      purpose: 'copywriting',
      system: 'You write for people who show their work: plainly, and nothing that is not in the data.',
      user: `Write the copy of a portfolio, in the language of the locale ${order.locale}.`,
      data: {
        name: order.business_name,
        city: order.primary_city,
        about: order.site_description,
        owner: order.about_owner,
        services: order.services ?? [],
        photos: photos.map(({ alt }) => alt).filter(Boolean),
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

/** Links to the photos: the page loads nothing from other sites. */
function workOf({ photos = [] }, own) {
  return photos.map(
    ({ url, alt }, at) =>
      html`<li><a href="${url}">${alt || own.photo.replace('{}', at + 1)}</a></li>\n`,
  );
}

/** What clients say, as the customer wrote it. */
function saidOf({ testimonials = [] }, { comma }) {
  return testimonials.map(({ text, name, role }) => {
    const who = [name, role].filter(Boolean).join(comma);
    return html`<blockquote>
<p dir="auto">${text}</p>
${who && html`<p>– ${who}</p>\n`}</blockquote>
`;
  });
}

/** The page. `html` escapes inserted text. */
function page(order, copy) {
  const services = order.services ?? [];
  const dialled = (number) => number.replace(/[^+0-9]/g, '');
  const { business_phone: phone, business_email: email, whatsapp_phone: chat } = order;
  const links = [
    phone && html`<a href="tel:${dialled(phone)}" dir="ltr">${phone}</a>\n`,
    email && html`<a href="mailto:${email}" dir="ltr">${email}</a>\n`,
    chat && html`<a href="https://wa.me/${dialled(chat).replace('+', '')}" dir="ltr">${chat}</a>\n`,
  ];
  const own = wordsOf(order);
  const [work, said] = [workOf(order, own), saidOf(order, own)];
  const place = [order.business_name, order.primary_city].filter(Boolean).join(own.comma);
  return html`<!doctype html>
<html lang="${order.locale}" dir="${own.dir}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${order.business_name}</title>
<meta name="description" content="${description(copy.about)}">
${order.photos?.[0] && html`<meta property="og:image" content="${order.photos[0].url}">
`}<link rel="icon" href="assets/icon.svg" type="image/svg+xml">
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
${order.about_owner && html`<p>${order.about_owner}</p>
`}${work.length > 0 && html`<h2>${own.work}</h2>
<ul class="tiles">
${work}</ul>
`}${services.length > 0 && html`<h2>${own.services}</h2>
<ul>
${services.map((service) => html`<li>${service}</li>\n`)}</ul>
`}${said.length > 0 && html`<h2>${own.testimonials}</h2>
${said}`}</main>
<footer>
<address>
${links}</address>
<p>${place}</p>
</footer>
</body>
</html>
`;
}
