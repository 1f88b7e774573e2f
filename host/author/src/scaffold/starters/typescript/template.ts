/** @@name@@: a site of one page, in TypeScript. */
import { type Html, type Order, ask, html, progress, template, writeFile } from 'sitewright';
import style from '../assets/site.css';
import { description, icon, manifest } from './head.ts';

/** The model's reply: what the schema below describes. */
interface Copy {
  headline: string;
  about: string;
  services_heading: string;
}

/** The schema of the model's reply. The descriptions are sent to the model. */
const COPY = {
  type: 'object',
  additionalProperties: false,
  required: ['headline', 'about', 'services_heading'],
  properties: {
    headline: { type: 'string', minLength: 1, maxLength: 120, description: 'At most eight words.' },
    about: {
      type: 'string',
      minLength: 40,
      maxLength: 1000,
      description: 'Two or three sentences about the business, for its customers.',
    },
    services_heading: {
      type: 'string',
      minLength: 1,
      maxLength: 60,
      description: 'The heading above the list of services: one or two words.',
    },
  },
};

export const generatorSync = template({
  name: '@@name@@',
  version: '0.1.0',
  summary: '@@summary@@',
  purposes: { copywriting: 'the headline and the text below it' },
  locales: ['en', 'pt-BR'],

  generate(order) {
    progress('copy', 0, 1);
    const copy = ask<Copy>({
      purpose: 'copywriting',
      system: 'You write for small businesses: plainly, and nothing that is not in the data.',
      user: `Write the copy of a one-page website, in the language of the locale ${order.locale}.`,
      data: { name: order.business_name, city: order.primary_city, services: order.services ?? [] },
      schema: COPY,
    }).value;

    progress('page', 0, 1);
    writeFile('index.html', page(order, copy));
    writeFile('assets/site.css', style);
    writeFile('assets/icon.svg', icon(order));
    writeFile('site.webmanifest', manifest(order));
  },
});

/** The page. `html` escapes inserted text. */
function page(order: Order, copy: Copy): Html {
  const services = order.services ?? [];
  const dialled = (number: string) => number.replace(/[^+0-9]/g, '');
  const { business_phone: phone, business_email: email, whatsapp_phone: chat } = order;
  const links = [
    phone && html`<a href="tel:${dialled(phone)}">${phone}</a>\n`,
    email && html`<a href="mailto:${email}">${email}</a>\n`,
    chat && html`<a href="https://wa.me/${dialled(chat).replace('+', '')}">${chat}</a>\n`,
  ];
  const place = [order.business_name, order.primary_city].filter(Boolean).join(', ');
  return html`<!doctype html>
<html lang="${order.locale}">
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
<p class="name">${order.business_name}</p>
<h1>${copy.headline}</h1>
</header>
<main>
<p class="lead">${copy.about}</p>
${services.length > 0 && html`<h2>${copy.services_heading}</h2>
<ul>
${services.map((service) => html`<li>${service}</li>\n`)}</ul>
`}</main>
<footer>
<address>
${links}</address>
<p>${place}</p>
</footer>
</body>
</html>
`;
}
