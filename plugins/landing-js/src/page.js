/** The page. Whatever stands between `${` and `}` is escaped by `html`. */
import { html, jsonForScript } from 'sitewright';
import { hex } from './colours.js';
import { services } from './copy.js';
import { rows } from './hours.js';
import { business } from './structured.js';

export function page({ order, copy, ways, speaks }) {
  const { words, tag } = speaks;
  const offered = services(order);
  return html`<!doctype html>
<html lang="${tag}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${copy.title} · ${order.business_name}</title>
<meta name="description" content="${copy.description}">
<link rel="icon" href="favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="style.css">
<script type="application/ld+json">${jsonForScript(business(order, copy, ways, offered))}</script>
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
    ${actions(ways)}
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
    ${actions(ways)}
    <div class="columns">${details(order, ways, words)}${hours(order, speaks)}</div>
  </section>
</main>
<footer>
  <p>${order.business_name} · ${order.primary_city}, ${order.state}</p>
  ${ways.social.length > 0 && html`<ul>${ways.social.map(({ href, label }) => html`<li><a href="${href}" rel="noopener">${label}</a></li>`)}</ul>`}
</footer>
</body>
</html>
`;
}

const actions = ({ first, second }) =>
  html`<p class="actions"><a class="button" href="${first.href}">${first.label}</a> <a class="button quiet" href="${second.href}">${second.label}</a></p>`;

const service = (name, text) => html`<li><h3>${name}</h3>${text && html`<p>${text}</p>`}</li>`;

function testimonials(order, words) {
  const said = ({ text, name, role, rating }) => html`<li><figure>
      <blockquote><p>${text}</p></blockquote>
      <figcaption>${name || words.customer}${role && `, ${role}`}${rating && html` · ${words.stars(rating)}`}</figcaption>
    </figure></li>`;
  return (
    order.testimonials.length > 0 &&
    html`<section id="said"><h2>${words.said}</h2><ul class="cards">${order.testimonials.map(said)}</ul></section>`
  );
}

function questions(copy, words) {
  const entry = ({ question, answer }) => html`<details><summary>${question}</summary><p>${answer}</p></details>`;
  return (
    copy.questions.length > 0 &&
    html`<section id="questions"><h2>${words.questions}</h2>${copy.questions.map(entry)}</section>`
  );
}

function details(order, ways, words) {
  const lines = [...ways.address, `${order.primary_city}, ${order.state}`];
  return html`<div><dl>
    <dt>${words.phone}</dt><dd><a href="${ways.phone.href}">${order.business_phone}</a></dd>
    <dt>${words.email}</dt><dd><a href="${ways.email.href}">${order.business_email}</a></dd>
    <dt>${words.address}</dt><dd>${lines.map((line, at) => html`${at > 0 && html`<br>`}${line}`)}</dd>
    ${order.service_areas.length > 0 && html`<dt>${words.areas}</dt><dd>${order.service_areas.join(', ')}</dd>`}
  </dl></div>`;
}

function hours(order, speaks) {
  const { words } = speaks;
  const line = ({ day, times }) => html`<tr><th scope="row">${day}</th><td>${times}</td></tr>`;
  return (
    order.business_hours.length > 0 &&
    html`<table>
      <caption>${words.hours}</caption>
      <thead><tr><th scope="col">${words.day}</th><th scope="col">${words.time}</th></tr></thead>
      <tbody>${rows(order.business_hours, speaks).map(line)}</tbody>
    </table>`
  );
}

/** The browser tab's icon: the first letter on the brand's colour. */
export function icon(order, { brand, onBrand }) {
  const letter = [...order.business_name.trim()].find((character) => /[0-9a-z\u00c0-\uffff]/i.test(character)) ?? '•';
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="14" fill="${hex(brand)}"/><text x="32" y="45" font-family="sans-serif" font-size="38" font-weight="700" text-anchor="middle" fill="${hex(onBrand)}">${letter.toUpperCase()}</text></svg>
`;
}
