/** @@name@@: a blog, with the articles of the order, or articles about its services. */
import { askAll, html, progress, template, warn, writeFile } from 'sitewright';
import style from '../assets/site.css';
import words from '../assets/words.json';
import { description, icon, manifest } from './head.js';

/** Maximum number of articles that are written about services: each is one AI call. */
const MAX_WRITTEN = 3;

const text = (minLength, maxLength, description) => ({
  type: 'string',
  minLength,
  maxLength,
  description,
});
/** The schema of a reply. The descriptions are sent to the model. */
const schemaOf = (properties) => ({
  type: 'object',
  additionalProperties: false,
  required: Object.keys(properties),
  properties,
});
const HOME = schemaOf({
  headline: text(1, 120, 'At most eight words.'),
  about: text(40, 1000, 'Two or three sentences about the business, for its readers.'),
});
const ARTICLE = schemaOf({
  title: text(1, 120, 'At most ten words, without a full stop.'),
  summary: text(40, 300, 'One sentence that says what the reader learns.'),
  paragraphs: { type: 'array', minItems: 3, maxItems: 6, items: text(80, 1200, 'A paragraph.') },
});

export const generatorSync = template({
  name: '@@name@@',
  version: '0.1.0',
  summary: '@@summary@@',
  purposes: { copywriting: 'the text of the home page, and articles if the order has none' },
  locales: ['en', 'pt-BR', 'es', 'fr', 'de', 'it', 'ar', 'he', 'ja'],

  generate(order) {
    progress('copy', 0, 1);
    const sent = order.posts ?? [];
    const topics = sent.length > 0 ? [] : (order.services ?? []).slice(0, MAX_WRITTEN);
    // The site is made all the same; the operator sees what it lacks.
    if (sent.length === 0) {
      warn('no-posts', 'the order has no `posts`: the articles are about its services, undated');
    }
    const replies = askAll(questions(order, topics));
    const written = topics.map((_, at) => {
      const { title, summary, paragraphs } = replies[`article ${at + 1}`].value;
      return { title, slug: `${at + 1}`, summary, text: paragraphs.join('\n') };
    });
    const posts = sent.length > 0 ? newestFirst(sent) : written;

    const own = wordsOf(order);
    for (const [done, post] of posts.entries()) {
      progress('pages', done, posts.length + 1);
      writeFile(`posts/${post.slug}/index.html`, article(order, own, post));
    }
    writeFile('index.html', home(order, own, replies.home.value, posts));
    writeFile('assets/site.css', style);
    writeFile('assets/icon.svg', icon(order));
    writeFile('site.webmanifest', manifest(order));
  },
});

/** The template's own words in the language of the order. */
const wordsOf = ({ locale }) => words[locale.split('-')[0]] ?? words.en;

function questions(order, topics) {
  const { business_name: name, primary_city: city, services = [] } = order;
  const language = `in the language of the locale ${order.locale}`;
  const question = (user, more, schema) => ({
    purpose: 'copywriting',
    system:
      'You write for small businesses: plainly, and nothing that is not in the data. No prices, ' +
      'numbers, dates, names or promises of your own.',
    user,
    data: { name, city, ...more },
    schema,
  });
  const about = `page: home\nWrite the beginning of a blog, ${language}.`;
  const articles = topics.map((service, at) => [
    `article ${at + 1}`,
    question(
      'page: article\nWrite an article that helps customers to decide about the service, ' +
        `${language}.`,
      { service },
      ARTICLE,
    ),
  ]);
  return {
    home: question(about, { services, about: order.site_description }, HOME),
    ...Object.fromEntries(articles),
  };
}

/** Those without a day come last, in the order of the customer. */
function newestFirst(posts) {
  const day = ({ date = '' }) => date;
  return [...posts].sort((a, b) => Number(day(a) < day(b)) - Number(day(a) > day(b)));
}

const dateOf = ({ date }) => date && html`<p><time datetime="${date}">${date}</time></p>\n`;

/** The page with the list of articles. */
function home(order, own, copy, posts) {
  const services = order.services ?? [];
  const list = posts.map(
    (post) => html`<li>
<h3><a href="posts/${post.slug}/">${post.title}</a></h3>
${dateOf(post)}${post.summary && html`<p>${post.summary}</p>\n`}</li>
`,
  );
  return page(order, own, {
    title: order.business_name,
    description: description(copy.about),
    root: '',
    main: html`<h1>${copy.headline}</h1>
<p class="lead">${copy.about}</p>
${list.length > 0 && html`<h2>${own.posts}</h2>
<ul class="tiles">
${list}</ul>
`}${services.length > 0 && html`<h2>${own.services}</h2>
<ul>
${services.map((service) => html`<li>${service}</li>\n`)}</ul>
`}`,
  });
}

/** The page of an article. It leads to its picture: pages load nothing from other sites. */
function article(order, own, post) {
  const { image_url: image, image_alt: shown } = post;
  const lines = post.text.split('\n').filter((line) => line.trim() !== '');
  const paragraphs = lines.map((line) => html`<p>${line}</p>\n`);
  const picture = image && html`<p><a href="${image}">${shown ?? own.photo}</a></p>\n`;
  return page(order, own, {
    title: `${post.title} · ${order.business_name}`,
    description: description(post.summary ?? post.text),
    root: '../../',
    main: html`<article>
<h1>${post.title}</h1>
${dateOf(post)}${paragraphs}${picture}</article>
<p><a href="../../">${own.all_posts}</a></p>
`,
  });
}

/** A page. `html` escapes inserted text. */
function page(order, own, { title, description, root, main }) {
  const dialled = (number) => number.replace(/[^+0-9]/g, '');
  const { business_phone: phone, business_email: email, whatsapp_phone: chat } = order;
  const links = [
    phone && html`<a href="tel:${dialled(phone)}" dir="ltr">${phone}</a>\n`,
    email && html`<a href="mailto:${email}" dir="ltr">${email}</a>\n`,
    chat && html`<a href="https://wa.me/${dialled(chat).replace('+', '')}" dir="ltr">${chat}</a>\n`,
  ];
  const place = [order.business_name, order.primary_city].filter(Boolean).join(own.comma);
  return html`<!doctype html>
<html lang="${order.locale}" dir="${own.dir}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<meta name="description" content="${description}">
<link rel="icon" href="${root}assets/icon.svg" type="image/svg+xml">
<link rel="manifest" href="${root}site.webmanifest">
<link rel="stylesheet" href="${root}assets/site.css">
</head>
<body style="${order.primary_color ? `--brand: ${order.primary_color}` : ''}">
<header>
<p class="name"><a href="${root || './'}"><bdi>${order.business_name}</bdi></a></p>
</header>
<main>
${main}</main>
<footer>
<address>
${links}</address>
<p>${place}</p>
</footer>
</body>
</html>
`;
}
