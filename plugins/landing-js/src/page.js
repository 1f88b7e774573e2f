/** The page. `html` escapes every interpolated value. */
import { html, jsonForScript } from 'sitewright';
import { firstLetter } from './app-icons.js';
import { hero } from './art.js';
import { hex } from './colours.js';
import { phoneLink } from './contact.js';
import { identifiers, locations, notes, photos, posts, team } from './content.js';
import { services } from './copy.js';
import { rows } from './hours.js';
import { business } from './structured.js';
import { title } from './title.js';
import { decimal, fill, isRightToLeft } from './words.js';

export function page({ order, copy, contacts, lang, legal, address, image, shades }) {
  const { words } = lang;
  const offered = services(order);
  const data = jsonForScript(business(order, copy, contacts, offered, address));
  const heading = title(order.business_name, copy.title);
  const cards = offered.map((name, at) => service(order, name, copy.services.texts[at], words));
  return html`<!doctype html>
<html lang="${lang.tag}"${direction(lang)}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${heading}</title>
<meta name="description" content="${copy.description}">
<meta property="og:type" content="website">
<meta property="og:title" content="${heading}">
<meta property="og:description" content="${copy.description}">
<meta property="og:site_name" content="${order.business_name}">
<meta property="og:locale" content="${lang.tag.replace('-', '_')}">
${image && html`<meta property="og:image" content="${image}">`}
${address && html`<meta property="og:url" content="${address}">`}
${address && html`<link rel="canonical" href="${address}">`}
${headLinks(shades)}<script type="application/ld+json">${data}</script>
</head>
<body>
<a class="skip" href="#content">${words.skip}</a>
<header class="top">
  <p class="name"><bdi>${order.business_name}</bdi></p>
  <nav aria-label="${words.sections}">
    <ul>
      <li><a href="#services">${words.services}</a></li>
      <li><a href="#about">${words.about}</a></li>
      <li><a href="#contact">${words.contact}</a></li>
    </ul>
  </nav>
</header>
<main id="content">
  <section class="opening">
    <div>
      <h1>${copy.headline}</h1>
      ${copy.lead && html`<p class="lead">${copy.lead}</p>`}
      ${actions(contacts)}
      ${moreActions(contacts)}
    </div>
    ${hero(order)}
  </section>
  <section id="services">
    <h2>${copy.services.heading || words.services}</h2>
    ${copy.services.lead && html`<p>${copy.services.lead}</p>`}
    <ul class="cards">${cards}</ul>
  </section>
  ${prices(order, offered, words)}
  ${menu(order, words)}
  <section id="about" class="tinted">
    <h2>${copy.about.heading || words.about}</h2>
    ${copy.about.paragraphs.map((paragraph) => html`<p>${paragraph}</p>`)}
    ${years(order.years_in_business, words)}
  </section>
  ${team(order, words)}
  ${photos(order, words)}
  ${posts(order, lang)}
  ${testimonials(order, lang)}
  ${questions(copy, words)}
  ${locations(order, lang)}
  ${form(contacts.form, words)}
  <section id="contact" class="deep">
    <h2>${words.contact}</h2>
    ${actions(contacts)}
    <div class="columns">${details(order, contacts, words)}${hours(order, lang)}</div>
  </section>
</main>
<footer>
  <p>${[order.business_name, contacts.place].filter(Boolean).map(joined)}</p>
  ${social(contacts.social)}
  ${identifiers(order, words)}
  ${legalLinks(legal.links)}
</footer>
</body>
</html>
`;
}

export const direction = (lang) => isRightToLeft(lang) && html` dir="rtl"`;
const joined = (text, at) => html`${at > 0 && ' · '}<bdi>${text}</bdi>`;

/**
 * The style sheet, the icons and the colour of browsers around the page. `top` is where the files
 * at the top of the site are.
 */
export function headLinks({ brand }, top = '') {
  return html`<meta name="theme-color" content="${hex(brand)}">
<link rel="icon" href="${top}icon-192.png" type="image/png" sizes="192x192">
<link rel="icon" href="${top}favicon.svg" type="image/svg+xml">
<link rel="apple-touch-icon" href="${top}apple-touch-icon.png">
<link rel="manifest" href="${top}site.webmanifest">
<link rel="stylesheet" href="${top}style.css">
`;
}

function legalLinks(links) {
  const entry = ({ href, label }) => html`<li><a href="${href}">${label}</a></li>`;
  return links.length > 0 && html`<ul>${links.map(entry)}</ul>`;
}

/**
 * The page for addresses that lead nowhere. A web server sends it for addresses at any depth: its
 * links are whole, if the site's address is known.
 */
export function notFound({ order, contacts, lang, address, top, shades }) {
  const { words } = lang;
  const phone = contacts.phone && html` · <bdi dir="ltr">${order.business_phone}</bdi>`;
  return html`<!doctype html>
<html lang="${lang.tag}"${direction(lang)}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title(order.business_name, words.lost)}</title>
<meta name="description" content="${words.lostText}">
${headLinks(shades, top)}</head>
<body>
<main class="lost">
  <h1>${words.lost}</h1>
  <p>${words.lostText}</p>
  <p class="actions"><a class="button" href="${address ?? 'index.html'}">${words.lostBack}</a></p>
  <p><bdi>${order.business_name}</bdi>${phone}</p>
</main>
</body>
</html>
`;
}

const actions = ({ first, second }) => {
  const button = (style, { href, label }) => html`<a class="${style}" href="${href}">${label}</a>`;
  const other = second && button('button quiet', second);
  return html`<p class="actions">${button('button', first)} ${other}</p>`;
};

function moreActions({ links }) {
  const button = ({ href, label }) =>
    html`<a class="button quiet" href="${href}" rel="noopener">${label}</a> `;
  return links.length > 0 && html`<p class="actions">${links.map(button)}</p>`;
}

function social(links) {
  const entry = ({ href, label }) => html`<li><a href="${href}" rel="noopener">${label}</a></li>`;
  return links.length > 0 && html`<ul>${links.map(entry)}</ul>`;
}

const isSame = (one, other) => one.trim().toLowerCase() === other.trim().toLowerCase();

function service(order, name, text, words) {
  const entry = order.prices?.find((each) => each.price && isSame(each.name, name));
  const price = entry && html`<p class="price"><bdi>${entry.price}</bdi></p>`;
  const more = entry && priceDetails(entry, words);
  const small = more && html`<p><small><bdi>${more}</bdi></small></p>`;
  return html`<li><h3><bdi>${name}</bdi></h3>${text && html`<p>${text}</p>`}${price}${small}</li>`;
}

function priceDetails({ duration, description, includes = [] }, words) {
  return [duration, description, includes.join(words.comma)].filter(Boolean).join(' · ');
}

/** The prices that no card of a service shows. */
function prices(order, offered, words) {
  const onCard = (entry) => offered.some((name) => isSame(entry.name, name));
  const others = (order.prices ?? []).filter((entry) => entry.price && !onCard(entry));
  const line = (entry) => priceLine(entry.name, priceDetails(entry, words), entry.price);
  const list = html`<ul class="prices">${others.map(line)}</ul>`;
  return (
    others.length > 0 &&
    html`<section id="prices"><h2>${words.prices}</h2>${list}</section>`
  );
}

function menu(order, words) {
  const line = ({ name, description, allergens = [], price }) => {
    const listed = allergens.length > 0 && `(${allergens.join(words.comma)})`;
    return priceLine(name, [description, listed].filter(Boolean).join(' '), price);
  };
  const part = ({ section, items }) => {
    const heading = section && html`<h3><bdi>${section}</bdi></h3>`;
    return html`${heading}<ul class="prices">${items.map(line)}</ul>`;
  };
  const parts = order.menu ?? [];
  return (
    parts.length > 0 &&
    html`<section id="menu"><h2>${words.menu}</h2>${parts.map(part)}</section>`
  );
}

function priceLine(name, more, price) {
  const small = more && html`<small><bdi>${more}</bdi></small>`;
  const written = price && html`<span class="price"><bdi>${price}</bdi></span>`;
  return html`<li><span><bdi>${name}</bdi>${small}</span>${written}</li>`;
}

function years(count, words) {
  if (!count) return undefined;
  return html`<p class="years">${count === 1 ? words.year : fill(words.years, count)}</p>`;
}

function testimonials(order, lang) {
  const { words } = lang;
  const stars = (rating) => rating && html` · ${fill(words.stars, decimal(rating, lang))}`;
  const by = (name, role) => {
    const as = role && html`${words.comma}<bdi>${role}</bdi>`;
    return html`<bdi>${name || words.customer}</bdi>${as}`;
  };
  const entry = ({ text, name, role, rating }) => html`<li><figure>
      <blockquote><p dir="auto">${text}</p></blockquote>
      <figcaption>${by(name, role)}${stars(rating)}</figcaption>
    </figure></li>`;
  const list = html`<ul class="cards">${order.testimonials.map(entry)}</ul>`;
  return (
    order.testimonials.length > 0 &&
    html`<section id="said"><h2>${words.testimonials}</h2>${list}</section>`
  );
}

function questions(copy, words) {
  const entry = ({ question, answer }) =>
    html`<details><summary>${question}</summary><p>${answer}</p></details>`;
  const list = copy.questions.map(entry);
  return (
    list.length > 0 &&
    html`<section id="questions"><h2>${words.questions}</h2>${list}</section>`
  );
}

/** A form that posts to the order's address, or else opens a message in a mail program. */
function form(action, words) {
  if (!action) return undefined;
  const byMail = action.startsWith('mailto:');
  const kind = byMail && html` enctype="text/plain"`;
  const needed = html` <small>(${words.required})</small>`;
  return html`<section id="write">
    <h2>${words.formTitle}</h2>
    <p>${byMail ? words.formLead : words.formLeadPost}</p>
    <form action="${action}" method="post"${kind}>
      <p><label for="field-name">${words.formName}${needed}</label>
      <input id="field-name" name="${words.formName}" type="text" autocomplete="name" required></p>
      <p><label for="field-email">${words.email}${needed}</label>
      <input id="field-email" name="${words.email}" type="email" autocomplete="email" required></p>
      <p><label for="field-phone">${words.phone}</label>
      <input id="field-phone" name="${words.phone}" type="tel" autocomplete="tel"></p>
      <p><label for="field-message">${words.formMessage}${needed}</label>
      <textarea id="field-message" name="${words.formMessage}" rows="5" required></textarea></p>
      <p><button class="button" type="submit">${words.formSend}</button></p>
    </form>
  </section>`;
}

export function details(order, contacts, words) {
  const lines = contacts.address;
  const address = lines.map((line, at) => html`${at > 0 && html`<br>`}<bdi>${line}</bdi>`);
  const areas = order.service_areas.map(
    (area, at) => html`${at > 0 && words.comma}<bdi>${area}</bdi>`,
  );
  const emergency = phoneLink(order.emergency_phone);
  return html`<div><dl>
    ${way(words.phone, contacts.phone, order.business_phone)}
    ${way('WhatsApp', order.whatsapp_phone && contacts.whatsapp, order.whatsapp_phone)}
    ${way(words.email, contacts.email, order.business_email)}
    ${way(words.emergency, emergency && { href: emergency }, order.emergency_phone)}
    ${lines.length > 0 && html`<dt>${words.address}</dt><dd>${address}</dd>`}
    ${areas.length > 0 && html`<dt>${words.areas}</dt><dd>${areas}</dd>`}
  </dl></div>`;
}

function way(name, link, text) {
  const shown = html`<bdi dir="ltr">${text}</bdi>`;
  return link && html`<dt>${name}</dt><dd><a href="${link.href}">${shown}</a></dd>`;
}

function hours(order, lang) {
  const { words } = lang;
  const time = (text) => html`<span><bdi>${text}</bdi></span>`;
  const line = ({ days, times }) =>
    html`<tr><th scope="row">${days}</th><td>${times.map(time)}</td></tr>`;
  const table =
    order.business_hours.length > 0 &&
    html`<table>
      <caption>${words.hours}</caption>
      <thead><tr><th scope="col">${words.day}</th><th scope="col">${words.time}</th></tr></thead>
      <tbody>${rows(order.business_hours, lang).map(line)}</tbody>
    </table>`;
  const said = notes(order.hours_notes, words);
  const heading = !table && html`<p class="heading">${words.hours}</p>`;
  return (table || said.length > 0) && html`<div>${table || heading}${said}</div>`;
}

/** The favicon: the first letter of the name on the brand's colour. */
export function icon(order, { brand, onBrand }) {
  const letter = firstLetter(order.business_name) ?? '•';
  const square = html`<rect width="64" height="64" rx="14" fill="${hex(brand)}"/>`;
  const font = html`font-family="sans-serif" font-size="38" font-weight="700"`;
  const ink = html`text-anchor="middle" fill="${hex(onBrand)}"`;
  const text = html`<text x="32" y="45" ${font} ${ink}>${letter.toUpperCase()}</text>`;
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">${square}${text}</svg>
`;
}
