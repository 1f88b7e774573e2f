/** The page. `html` escapes every interpolated value. */
import { html, jsonForScript } from 'sitewright';
import { hex } from './colours.js';
import { services } from './copy.js';
import { rows } from './hours.js';
import { business } from './structured.js';

export function page({ order, copy, contacts, lang }) {
  const { words, tag } = lang;
  const offered = services(order);
  const data = jsonForScript(business(order, copy, contacts, offered));
  return html`<!doctype html>
<html lang="${tag}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${copy.title} · ${order.business_name}</title>
<meta name="description" content="${copy.description}">
<link rel="icon" href="favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="style.css">
<script type="application/ld+json">${data}</script>
</head>
<body>
<a class="skip" href="#content">${words.skip}</a>
<header class="top">
  <p class="name">${order.business_name}</p>
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
    <h1>${copy.headline}</h1>
    ${copy.lead && html`<p class="lead">${copy.lead}</p>`}
    ${actions(contacts)}
  </section>
  <section id="services">
    <h2>${copy.services.heading || words.services}</h2>
    ${copy.services.lead && html`<p>${copy.services.lead}</p>`}
    <ul class="cards">${offered.map((name, at) => service(name, copy.services.texts[at]))}</ul>
  </section>
  <section id="about" class="tinted">
    <h2>${copy.about.heading || words.about}</h2>
    ${copy.about.paragraphs.map((paragraph) => html`<p>${paragraph}</p>`)}
    ${order.years_in_business && html`<p class="years">${words.years(order.years_in_business)}</p>`}
  </section>
  ${testimonials(order, words)}
  ${questions(copy, words)}
  <section id="contact" class="deep">
    <h2>${words.contact}</h2>
    ${actions(contacts)}
    <div class="columns">${details(order, contacts, words)}${hours(order, lang)}</div>
  </section>
</main>
<footer>
  <p>${[order.business_name, contacts.place].filter(Boolean).join(' · ')}</p>
  ${social(contacts.social)}
</footer>
</body>
</html>
`;
}

const actions = ({ first, second }) => {
  const button = (style, { href, label }) => html`<a class="${style}" href="${href}">${label}</a>`;
  return html`<p class="actions">${button('button', first)} ${second && button('button quiet', second)}</p>`;
};

function social(links) {
  const entry = ({ href, label }) => html`<li><a href="${href}" rel="noopener">${label}</a></li>`;
  return links.length > 0 && html`<ul>${links.map(entry)}</ul>`;
}

const service = (name, text) => html`<li><h3>${name}</h3>${text && html`<p>${text}</p>`}</li>`;

function testimonials(order, words) {
  const stars = (rating) => rating && html` · ${words.stars(rating)}`;
  const entry = ({ text, name, role, rating }) => html`<li><figure>
      <blockquote><p>${text}</p></blockquote>
      <figcaption>${name || words.customer}${role && `, ${role}`}${stars(rating)}</figcaption>
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

function details(order, contacts, words) {
  const lines = [...contacts.address, contacts.place].filter(Boolean);
  const address = lines.map((line, at) => html`${at > 0 && html`<br>`}${line}`);
  const areas = order.service_areas;
  return html`<div><dl>
    ${way(words.phone, contacts.phone, order.business_phone)}
    ${way('WhatsApp', order.whatsapp_phone && contacts.whatsapp, order.whatsapp_phone)}
    ${way(words.email, contacts.email, order.business_email)}
    ${lines.length > 0 && html`<dt>${words.address}</dt><dd>${address}</dd>`}
    ${areas.length > 0 && html`<dt>${words.areas}</dt><dd>${areas.join(', ')}</dd>`}
  </dl></div>`;
}

function way(name, link, text) {
  return link && html`<dt>${name}</dt><dd><a href="${link.href}">${text}</a></dd>`;
}

function hours(order, lang) {
  const { words } = lang;
  const line = ({ day, times }) => html`<tr><th scope="row">${day}</th><td>${times}</td></tr>`;
  return (
    order.business_hours.length > 0 &&
    html`<table>
      <caption>${words.hours}</caption>
      <thead><tr><th scope="col">${words.day}</th><th scope="col">${words.time}</th></tr></thead>
      <tbody>${rows(order.business_hours, lang).map(line)}</tbody>
    </table>`
  );
}

/** The favicon: the first letter of the name on the brand's colour. */
export function icon(order, { brand, onBrand }) {
  const isLetter = (character) => /[0-9a-z\u00c0-\uffff]/i.test(character);
  const letter = [...order.business_name.trim()].find(isLetter) ?? '•';
  const square = html`<rect width="64" height="64" rx="14" fill="${hex(brand)}"/>`;
  const font = html`font-family="sans-serif" font-size="38" font-weight="700"`;
  const ink = html`text-anchor="middle" fill="${hex(onBrand)}"`;
  const text = html`<text x="32" y="45" ${font} ${ink}>${letter.toUpperCase()}</text>`;
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">${square}${text}</svg>
`;
}
