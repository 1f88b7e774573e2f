/**
 * The pages that the law may want: who is responsible for the site, and which data it processes.
 *
 * They are made by form from what the order says. No model writes them, and without an address,
 * which they must show, they are left out with a warning.
 */
import { html } from 'sitewright';
import { knownIdentifiers } from './content.js';
import { fold } from './fold.js';
import { details, direction, headLinks } from './page.js';
import { title } from './title.js';
import { fill } from './words.js';

/**
 * Words in the names of pages as customers type them, in lower case without accents. Pages of the
 * last kind need the text of a lawyer.
 */
const IMPRINT = [
  'imprint', 'legal', 'legais', 'aviso', 'mentions', 'legales', 'impressum', 'legali', 'قانونيه',
  'משפטי', '運営者',
];
const PRIVACY = [
  'privacy', 'gdpr', 'privacidade', 'lgpd', 'privacidad', 'confidentialite', 'rgpd', 'datenschutz',
  'datenschutzerklarung', 'dsgvo', 'informativa', 'خصوصيه', 'פרטיות', 'プライバシー', '個人情報',
];
const LAWYERS = [
  'terms', 'cookies', 'termos', 'terminos', 'condiciones', 'cgv', 'cgu', 'agb', 'termini', 'شروط',
  'احكام', 'תקנון', '利用規約', '特定商取引',
];

/** Words of `IMPRINT` that what a law firm offers has too, and words that are of a notice only. */
const OF_LAW = ['legal', 'legais', 'legales', 'legali', 'قانونيه', 'משפטי'];
const NOTICES = [
  'imprint', 'impressum', 'notice', 'notices', 'info', 'information', 'informations', 'disclosure',
  'disclaimer', 'mentions', 'aviso', 'avisos', 'nota', 'note', 'informacion', 'informacao',
  'informacoes', 'informazioni', 'dati', 'datos', 'dados', 'بيانات', 'معلومات', 'اشعار', 'تنويه',
  'מידע', 'הודעה', 'הודעות', 'גילוי',
];

const FILES = new Map([
  ['pt', ['informacoes-legais.html', 'privacidade.html']],
  ['es', ['aviso-legal.html', 'privacidad.html']],
  ['fr', ['mentions-legales.html', 'confidentialite.html']],
  ['de', ['impressum.html', 'datenschutz.html']],
  ['it', ['note-legali.html', 'privacy.html']],
]);
const ENGLISH_FILES = ['legal-notice.html', 'privacy.html'];

/**
 * Which of the two pages the order asks for and has the data of, as links, and warnings about pages
 * that are left out.
 */
export function legalPages(order, { code, words }) {
  const [imprintPath, privacyPath] = FILES.get(code) ?? ENGLISH_FILES;
  const notes = [];
  const hasAddress = Boolean(order.business_address);
  let wantsImprint = Object.values(order.legal ?? {}).some(Boolean);
  let wantsPrivacy = false;
  for (const name of order.selected_pages ?? []) {
    if (hasWord(name, LAWYERS)) {
      const message =
        `the page \`${name}\` of \`selected_pages\` was left out: legal texts are not written by ` +
        'a model; add the text of your lawyer';
      notes.push({ code: 'page-unknown', message });
      continue;
    }
    const isPrivacy = hasWord(name, PRIVACY);
    if (!isPrivacy && (!hasWord(name, IMPRINT) || isAdvice(order, name))) continue;
    if (!hasAddress) {
      const message =
        `the page \`${isPrivacy ? words.privacy : words.imprint}\` was left out: the order has ` +
        'no `business_address`, which it must show; add it and generate again';
      notes.push({ code: 'page-empty', message });
    } else if (isPrivacy) {
      wantsPrivacy = true;
    } else {
      wantsImprint = true;
    }
  }
  const imprint =
    wantsImprint && hasAddress ? { href: imprintPath, label: words.imprint } : undefined;
  const privacy = wantsPrivacy ? { href: privacyPath, label: words.privacy } : undefined;
  return { imprint, privacy, links: [imprint, privacy].filter(Boolean), notes };
}

/** Whether a name is of what a law firm offers: "Legal advice", and not "Legal notice". */
function isAdvice({ niche }, name) {
  const isSeveral = name.trim().split(/\s+/).length > 1;
  return niche === 'lawyer' && isSeveral && hasWord(name, OF_LAW) && !hasWord(name, NOTICES);
}

/**
 * Whether a name of a page has one of the words. Japanese has no spaces between words; an Arabic
 * article and a Hebrew prefix are written together with their word.
 */
function hasWord(name, known) {
  const folded = fold(name);
  const typed = folded.split(' ');
  const words = typed.flatMap((word) => [word, word.replace(/^ال/, ''), word.replace(/^ה/, '')]);
  return known.some((word) => (word >= '\u3000' ? folded.includes(word) : words.includes(word)));
}

export function imprintPage(site) {
  const { order, lang, legal } = site;
  const lines = knownIdentifiers(order, lang.words);
  if (!order.legal?.legal_name) lines.unshift([lang.words.responsible, order.business_name]);
  return legalPage(site, legal.imprint, lang.words.imprintText, terms(lines));
}

export function privacyPage(site) {
  const { order, contacts, lang, legal } = site;
  const { words } = lang;
  const byMail = contacts.form?.startsWith('mailto:');
  const form = byMail ? words.privacyMail : fill(words.privacyPost, host(contacts.form));
  const said = [
    words.privacySite, words.privacyServer, contacts.form && form, words.privacyLinks,
    words.privacyRights,
  ];
  const who = order.legal?.legal_name ?? order.business_name;
  const body = html`${terms([[words.responsible, who]])}${said
    .filter(Boolean)
    .map((text) => html`<p>${text}</p>`)}`;
  return legalPage(site, legal.privacy, words.privacyText, body);
}

/** The host of a web address, as a visitor reads it. */
const host = (address = '') => /^https?:\/\/(?:[^/?#]*@)?([^/?#]*)/.exec(address)?.[1];

function terms(lines) {
  const entry = ([label, value]) => html`<dt>${label}</dt><dd><bdi>${value}</bdi></dd>`;
  return html`<dl>${lines.map(entry)}</dl>`;
}

function legalPage({ order, contacts, lang, address, shades }, page, description, body) {
  const { words } = lang;
  return html`<!doctype html>
<html lang="${lang.tag}"${direction(lang)}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title(order.business_name, page.label)}</title>
<meta name="description" content="${fill(description, order.business_name)}">
${address && html`<link rel="canonical" href="${address}${page.href}">`}
${headLinks(shades)}</head>
<body>
<header class="top">
  <p class="name"><a href="index.html"><bdi>${order.business_name}</bdi></a></p>
</header>
<main class="legal">
  <h1>${page.label}</h1>
  ${body}
  <h2>${words.contact}</h2>
  ${details(order, contacts, words)}
  <p><a href="index.html">${words.lostBack}</a></p>
</main>
</body>
</html>
`;
}
