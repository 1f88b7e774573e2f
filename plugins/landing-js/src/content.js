/** What the order says of the business beside the copy. `html` escapes every interpolated value. */
import { html } from 'sitewright';
import { phoneLink, mailLink, safeUrl } from './contact.js';
import { rows } from './hours.js';
import { date, fill } from './words.js';

/** The people of the business. */
export function team(order, words) {
  const entry = ({ name, role, bio, photo_url: photo }) => {
    const link = safeUrl(photo);
    return html`<li><h3><bdi>${name}</bdi></h3>${role && html`<p><bdi>${role}</bdi></p>`}${
      bio && html`<p dir="auto">${bio}</p>`
    }${link && html`<p>${away(link, fill(words.photo, name))}</p>`}</li>`;
  };
  return section('team', words.team, (order.team ?? []).map(entry));
}

/** The places of a business that has several. */
export function locations(order, lang) {
  const { words } = lang;
  return section('locations', words.locations, (order.locations ?? []).map((place) => {
    const lines = (place.address ?? '').split(/[\r\n]+/).map((line) => line.trim());
    const address = lines.filter(Boolean);
    if (place.city && !address.some((line) => line.includes(place.city))) address.push(place.city);
    const name = place.name ?? place.city ?? address[0];
    const times = rows(place.hours ?? [], lang).map((row) =>
      html`<p>${row.days}${words.colon}${joined(row.times, words.comma)}</p>`);
    return html`<li>${name && html`<h3><bdi>${name}</bdi></h3>`}${
      address.length > 0 && html`<p>${joined(address, html`<br>`)}</p>`
    }${linked(phoneLink(place.phone), place.phone)}${
      linked(mailLink(place.email), place.email)
    }${times}${notes(place.hours_notes, words)}</li>`;
  }));
}

/** Links to the photos: the page loads nothing from other sites. */
export function photos(order, words) {
  const entry = ({ url, alt }, at) => {
    const link = safeUrl(url);
    return link && html`<li>${away(link, alt ?? fill(words.photo, at + 1))}</li>`;
  };
  const links = (order.photos ?? []).map(entry).filter(Boolean);
  return (
    links.length > 0 &&
    html`<section id="photos"><h2>${words.photos}</h2><ul class="links">${links}</ul></section>`
  );
}

/** The posts, in the customer's words. */
export function posts(order, lang) {
  const { words } = lang;
  const entry = (post, at) => {
    const shown = post.date && date(post.date, lang);
    const day = shown && html`<p><time datetime="${post.date}">${shown}</time></p>`;
    const lines = post.text.split(/[\r\n]+/).map((line) => line.trim()).filter(Boolean);
    const paragraphs = lines.map((line) => html`<p dir="auto">${line}</p>`);
    const photo = safeUrl(post.image_url);
    const link = photo && html`<p>${away(photo, post.image_alt ?? fill(words.photo, at + 1))}</p>`;
    return html`<li><h3><bdi>${post.title}</bdi></h3>${day}${paragraphs}${link}</li>`;
  };
  return section('news', words.news, (order.posts ?? []).map(entry));
}

/** What is said about opening hours that is not a range of times. */
export function notes(list, words) {
  return (list ?? []).map(({ label, text }) =>
    html`<p>${label && html`<bdi>${label}</bdi>${words.colon}`}<bdi>${text}</bdi></p>`);
}

/** Name and value of each identifier that the law wants to be shown. */
export function knownIdentifiers(order, words) {
  const legal = order.legal ?? {};
  // Proper names of numbers are the same in all languages.
  const ofCountry = new Map([['BR', 'CNPJ'], ['PT', 'NIF'], ['ES', 'NIF'], ['AU', 'ABN']]);
  return [
    [words.responsible, legal.legal_name],
    [words.representative, legal.representative],
    [words.vat, legal.vat_id],
    [ofCountry.get(order.country) ?? words.taxNumber, legal.tax_id],
    ['SIRET', legal.siret],
    ['SIREN', legal.siren],
    ['EIN', legal.ein],
    [words.companyNumber, legal.company_number],
    [words.license, legal.license_number],
  ].filter(([, value]) => value);
}

export function identifiers(order, words) {
  const lines = knownIdentifiers(order, words);
  const line = ([label, value], at) =>
    html`${at > 0 && ' · '}${label}${words.colon}<bdi>${value}</bdi>`;
  return lines.length > 0 && html`<p>${lines.map(line)}</p>`;
}

const section = (id, heading, entries) =>
  entries.length > 0 &&
  html`<section id="${id}"><h2>${heading}</h2><ul class="cards">${entries}</ul></section>`;

const away = (href, label) => html`<a href="${href}" rel="noopener"><bdi>${label}</bdi></a>`;

const linked = (href, text) =>
  href && html`<p><a href="${href}"><bdi dir="ltr">${text}</bdi></a></p>`;

const joined = (texts, separator) =>
  texts.map((text, at) => html`${at > 0 && separator}<bdi>${text}</bdi>`);
