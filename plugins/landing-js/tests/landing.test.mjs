// Run with `node --import ./hooks.mjs --test landing.test.mjs` in this folder.
import assert from 'node:assert/strict';
import test from 'node:test';
import { drawing, letterOf } from '../src/app-icons.js';
import { drawingOf } from '../src/art.js';
import { crc } from '../src/card.js';
import { colours, contrast, darkColours, DRAWN, drawnColours, hex } from '../src/colours.js';
import { contact } from '../src/contact.js';
import drawings from '../src/drawings.json';
import { rows } from '../src/hours.js';
import { legalPages } from '../src/legal.js';
import { files } from '../src/site.js';
import { MAX_TITLE, title } from '../src/title.js';
import { date, decimal, language, LANGUAGE_CODES, place } from '../src/words.js';

const ORDER = {
  id: '1',
  business_name: 'Webb & Sons (Plumbing)',
  business_email: 'office@example.com',
  business_phone: '+1 (555) 010-3301',
  niche: 'plumber',
  primary_city: 'Tampa',
  state: 'FL',
  primary_cta: 'call',
  tone: 'friendly',
  services: ['Drain cleaning', 'Leak detection'],
  service_areas: ['Tampa', 'Brandon'],
  business_hours: [
    { day: 'monday', ranges: ['09:00-17:30'] },
    { day: 'tuesday', ranges: ['09:00-17:30'] },
    { day: 'wednesday', ranges: ['09:00-17:30'] },
    { day: 'saturday', ranges: [] },
  ],
  hours_notes: [{ label: 'Sundays', text: 'emergencies only' }],
  testimonials: [{ name: 'Ana', text: 'On time.', rating: 4.5, role: 'Neighbour' }],
  prices: [
    { name: 'drain cleaning', price: 'from $75' },
    { name: 'Camera', price: '$120', duration: '30 min' },
  ],
  menu: [{ section: 'Extras', items: [{ name: 'Tea', price: '$2.50', allergens: ['milk'] }] }],
  years_in_business: 31,
};
const COPY = {
  title: 'Plumbers',
  description: 'Plumbers in Tampa.',
  headline: 'Dry again today',
  lead: '',
  services: { heading: '', lead: '', texts: [] },
  about: { heading: '', paragraphs: ['We listen.'] },
  questions: [],
};

function site(locale, change = {}) {
  const order = { ...ORDER, ...change };
  const lang = language(locale);
  const contacts = contact(order, lang);
  return Object.fromEntries(files({ order, copy: COPY, contacts, lang }).map(([path, content]) => [
    path,
    content instanceof Uint8Array ? content : String(content),
  ]));
}

/** Texts that are the same as in English: language and key. */
const LIKE_ENGLISH = [
  'pt comma', 'pt colon', 'es comma', 'es colon', 'fr comma', 'fr formMessage', 'fr services', 'fr contact',
  'fr photo', 'fr photos', 'de comma', 'de colon', 'de formName', 'it comma', 'it colon', 'it email', 'it menu', 'ar colon', 'he comma',
  'he colon',
];

test('every language has every text, and none of another', () => {
  const english = language('en').words;
  for (const code of LANGUAGE_CODES) {
    const { words } = language(code);
    assert.deepEqual(Object.keys(words), Object.keys(english), code);
    assert.equal(new Set(Object.values(words.days)).size, 7, code);
    assert.equal(new Set(words.months).size, 12, code);
    for (const [key, text] of Object.entries(words)) {
      if (key === 'days' || key === 'months') continue;
      assert.ok(text.trim(), `${code} ${key}`);
      const holes = (value) => value.split('{}').length;
      if (!key.startsWith('year')) assert.equal(holes(text), holes(english[key]), `${code} ${key}`);
      if (code === 'en') continue;
      const at = `${code} ${key}`;
      assert.equal(text === english[key], LIKE_ENGLISH.includes(at), at);
    }
  }
});

test('a locale has the language of its first part, else English', () => {
  for (const [locale, code, tag] of [
    ['ar-SA', 'ar', 'ar-SA'], ['ja', 'ja', 'ja'], ['pt-PT', 'pt', 'pt-PT'], ['fi', 'en', 'en'],
    ['constructor', 'en', 'en'],
  ]) {
    const lang = language(locale);
    assert.deepEqual([lang.code, lang.tag], [code, tag]);
  }
});

test('days and times are written as each language does', () => {
  const shown = Object.fromEntries(
    LANGUAGE_CODES.map((code) => {
      const [first] = rows(ORDER.business_hours, language(code));
      return [code, `${first.days} | ${first.times}`];
    }),
  );
  assert.deepEqual(shown, {
    pt: 'Segunda a quarta | 09:00 – 17:30',
    en: 'Monday to Wednesday | 9 am – 5:30 pm',
    es: 'De lunes a miércoles | 09:00 – 17:30',
    fr: 'Du lundi au mercredi | 09:00 – 17:30',
    de: 'Montag bis Mittwoch | 09:00 – 17:30',
    it: 'Da lunedì a mercoledì | 09:00 – 17:30',
    ar: 'من الاثنين إلى الأربعاء | 09:00 – 17:30',
    he: 'יום שני עד יום רביעי | 09:00 – 17:30',
    ja: '月曜日～水曜日 | 9:00～17:30',
  });
  const week = ['monday', 'saturday', 'sunday'].map((day) => ({ day, ranges: [] }));
  const days = (code) => rows(week, language(code)).map((row) => row.days);
  assert.deepEqual(days('he'), ['יום ראשון ויום שני', 'יום שבת']);
  assert.deepEqual(days('de'), ['Montag', 'Samstag und Sonntag']);
});

test('numbers and places are written as each language does', () => {
  assert.equal(decimal(4.5, language('fr')), '4,5');
  assert.equal(decimal(4.5, language('en')), '4.5');
  for (const [tag, day, expected] of [
    ['en', '2026-03-09', 'March 9, 2026'], ['en-GB', '2026-03-09', '9 March 2026'],
    ['pt-BR', '2026-03-09', '9 de março de 2026'], ['fr', '2026-03-01', '1er mars 2026'],
    ['de', '2026-03-09', '9. März 2026'], ['ja', '2026-03-09', '2026年3月9日'],
    ['he', '2026-03-09', '9 במרץ 2026'], ['it', '2026-12-31', '31 dicembre 2026'],
  ]) {
    assert.equal(date(day, language(tag)), expected);
  }
  assert.equal(place('渋谷区', '東京都', language('ja')), '東京都渋谷区');
  assert.equal(place('الرياض', 'منطقة الرياض', language('ar')), 'الرياض، منطقة الرياض');
  assert.equal(place('Tampa', 'FL', language('ar')), 'Tampa, FL');
});

test('text from right to left is marked, and what is not is isolated', () => {
  for (const code of LANGUAGE_CODES) {
    const page = site(code)['index.html'];
    const isRight = code === 'ar' || code === 'he';
    assert.ok(page.includes(`<html lang="${code}"${isRight ? ' dir="rtl"' : ''}>`), code);
    for (const part of ['+1 (555) 010-3301', 'office@example.com']) {
      assert.ok(page.includes(`<bdi dir="ltr">${part}</bdi>`), `${code}: ${part}`);
    }
    for (const part of ['from &#36;75', '&#36;120', '&#36;2.50', 'Webb &#38; Sons (Plumbing)']) {
      assert.ok(page.includes(`<bdi>${part}</bdi>`), `${code}: ${part}`);
    }
    assert.ok(page.indexOf('<meta charset="utf-8">') - page.indexOf('<head>') < 10);
    assert.ok(page.includes('emergencies only') && !page.includes('undefined'), code);
  }
  const { 'style.css': css } = site('en');
  const sides = /(margin|padding|border)-(left|right)|text-align: (left|right)|[ {](left|right):/;
  assert.doesNotMatch(css, sides);
  for (const media of ['prefers-color-scheme: dark', 'print', 'prefers-reduced-motion: reduce']) {
    assert.ok(css.includes(media), media);
  }
});

test('a title has less than 60 characters and begins with the name', () => {
  const cases = [
    ['Bright Oak Dental', 'What we offer', 'Bright Oak Dental · What we offer'],
    ['Zum Löwen', 'Willkommen im Zum Löwen', 'Willkommen im Zum Löwen'],
    [
      'Ferraz Advocacia',
      'Advocacia de família, contratos e sucessões em Campinas',
      'Ferraz Advocacia · Advocacia de família, contratos e…',
    ],
    [
      "Cabinet d'Aubigné-Lefèvre & Associés — Transactions, Location et Gestion",
      'Honoraires',
      "Cabinet d'Aubigné-Lefèvre & Associés… · Honoraires",
    ],
    [
      "Cabinet d'Aubigné-Lefèvre & Associés, Transactions",
      'Agence immobilière de caractère à Tours et en Touraine',
      "Cabinet d'Aubigné-Lefèvre & Associés, Transactions",
    ],
  ];
  for (const [name, own, expected] of cases) assert.equal(title(name, own), expected);
  for (const name of [1, 30, 50, 55, 56, 57, 59, 60, 200]) {
    for (const own of [1, 10, 80]) {
      const made = title('ab '.repeat(name).slice(0, name), '語'.repeat(own));
      assert.ok([...made].length <= MAX_TITLE && made, made);
    }
  }
});

test('a site with an address has canonical links and files for search engines', () => {
  const without = site('en');
  assert.deepEqual(Object.keys(without), [
    'index.html', 'style.css', '404.html', 'favicon.svg', 'apple-touch-icon.png', 'icon-192.png',
    'icon-512.png', 'site.webmanifest',
  ]);
  assert.doesNotMatch(without['index.html'], /canonical|og:url|og:image/);
  const made = site('en', { site_url: 'https://webb.test/' });
  const page = made['index.html'];
  assert.ok(page.includes('<link rel="canonical" href="https://webb.test/">'));
  assert.ok(page.includes('<meta property="og:url" content="https://webb.test/">'));
  assert.ok(page.includes('<meta property="og:image" content="https://webb.test/card.png">'));
  assert.ok(page.includes('og:title') && page.includes('og:description'));
  assert.ok(made['sitemap.xml'].includes('<loc>https://webb.test/</loc>'));
  assert.ok(made['robots.txt'].includes('https://webb.test/sitemap.xml'));
  assert.ok(made['404.html'].includes('href="https://webb.test/"'));
  const card = made['card.png'];
  assert.deepEqual([...card.slice(41, 44)], colours(ORDER).brand);
  const photos = [{ url: 'https://img.test/a.jpg' }];
  assert.ok(site('en', { photos })['index.html'].includes('content="https://img.test/a.jpg"'));
  assert.ok(!site('en', { site_url: 'javascript:alert(1)' })['sitemap.xml']);
});

test('the page for lost visitors has its style at any depth', () => {
  for (const [url, top] of [
    [undefined, ''],
    ['https://webb.test', '/'],
    ['https://sites.test/webb/', 'https://sites.test/webb/'],
  ]) {
    const page = site('en', { site_url: url })['404.html'];
    for (const path of ['style.css', 'favicon.svg', 'apple-touch-icon.png']) {
      assert.ok(page.includes(`href="${top}${path}"`), `${url}: ${path}`);
    }
    assert.doesNotMatch(page, /<style| style=/);
  }
});

test('every page names the icons, and the manifest lists them', () => {
  const made = site('he', { business_name: 'Éclair & Söhne', primary_color: '#a63a24' });
  for (const part of ['apple-touch-icon', 'manifest', 'icon']) {
    assert.ok(made['index.html'].includes(`<link rel="${part}"`), part);
  }
  const manifest = JSON.parse(made['site.webmanifest']);
  assert.deepEqual([manifest.name, manifest.dir], ['Éclair & Söhne', 'rtl']);
  for (const { src } of manifest.icons) assert.ok(made[src], src);
  assert.ok(manifest.icons.some(({ purpose }) => purpose === 'maskable'));
  for (const [path, side] of [['apple-touch-icon.png', 180], ['icon-512.png', 512]]) {
    const png = made[path];
    const view = new DataView(png.buffer, png.byteOffset);
    assert.deepEqual([view.getUint32(16), view.getUint32(20)], [side, side]);
    assert.deepEqual([...png.slice(41, 44)], [0xa6, 0x3a, 0x24]);
    assert.equal(view.getUint32(89), crc(png.slice(37, 89)));
  }
});

test('every letter has a drawing of each size', () => {
  for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ') {
    for (const side of [180, 192, 512]) {
      assert.deepEqual([...drawing(letter, side).slice(1, 4)], [0x50, 0x4e, 0x47], letter);
    }
  }
  for (const [name, letter] of [
    ['Ørsted', 'O'], ['(7 Days)', '7'], ['東京庭園', ' '], ['💾', ' '],
  ]) {
    assert.equal(letterOf(name), letter);
  }
});

test('the drawing is that of the trade, and no text of the order is in it', () => {
  for (const [niche, custom, expected] of [
    ['landscaping', 'Hair salon', 'landscaping'], ['real_estate', undefined, 'real-estate'],
    ['other', 'Bakery & café', 'bakery'], ['general', 'Hochzeitsfotografin', 'photo'],
    ['other', 'Academia de treino funcional', 'gym'], ['other', 'حضانة أطفال', 'school'],
    ['other', 'Veterinary clinic', 'pets'], ['other', 'KFZ-Meisterbetrieb', 'car'],
    ['other', 'Jardin d’enfants', 'school'], ['other', 'Zahnärztin', 'dentist'],
    ['other', 'عيادة أسنان', 'dentist'], ['other', 'נדל״ן', 'real-estate'],
    ['restaurant', 'Bakery & café', 'bakery'], ['restaurant', 'Music bar', 'restaurant'],
    ['other', 'Yoga studio', 'yoga'], ['other', 'Music school', 'music'],
    ['other', 'Roofing', 'real-estate'], ['other', 'Taco truck', 'restaurant'],
    ['other', '中華料理・寿司', 'restaurant'], ['other', 'Carpentry', 'general'],
    ['other', 'Retro-computing repair — 💾', 'general'], ['general', undefined, 'general'],
  ]) {
    assert.equal(drawingOf({ niche, custom_niche: custom }), expected, custom);
  }
  const page = site('ar', { niche: 'other', custom_niche: '<b>Flowers</b>' })['index.html'];
  const [, art] = /<svg class="art"([^]*?)<\/svg>/.exec(page);
  assert.ok(art.includes('aria-hidden="true"') && art.includes('width="320" height="320"'), art);
  assert.doesNotMatch(art, /<b>|&|href|style=|url\(/);
  // A size, and a colour of its own, for each class of a drawing.
  const { 'style.css': css } = site('en');
  for (const svg of Object.values(drawings.svg)) {
    for (const [, name] of svg.matchAll(/class="([^"]*)"/g)) {
      assert.match(css, new RegExp(`\\.${name}[, {]`), name);
    }
  }
  const [, drawn] = /\n\.art \{\n([^}]*)\}/.exec(css);
  for (const [, name] of css.matchAll(/(?:fill|stroke): var\((--[a-z-]*)\)/g)) {
    assert.ok(drawn.includes(`  ${name}: #`), name);
  }
  assert.match(css, /\.art \{[^}]*max-width: 16rem/);
});

const ADDRESS = 'Gasse 1\n04109 Leipzig';

test('legal pages are made by form if the data is there', () => {
  const vat = { vat_id: 'DE123456789' };
  for (const [code, name, address, legal, expected] of [
    ['de', 'Impressum', ADDRESS, {}, ['impressum.html']],
    ['de', 'Impressum', undefined, {}, []],
    ['de', 'Kontakt', ADDRESS, vat, ['impressum.html']],
    ['de', 'Kontakt', undefined, vat, []],
    ['de', 'Datenschutzerklärung', ADDRESS, {}, ['datenschutz.html']],
    ['fr', 'Mentions légales', ADDRESS, {}, ['mentions-legales.html']],
    ['fr', 'Politique de confidentialité', ADDRESS, {}, ['confidentialite.html']],
    ['es', 'Aviso legal', ADDRESS, {}, ['aviso-legal.html']],
    ['it', 'Note legali', ADDRESS, {}, ['note-legali.html']],
    ['it', 'Informativa sulla privacy', ADDRESS, {}, ['privacy.html']],
    ['pt', 'Política de Privacidade', ADDRESS, {}, ['privacidade.html']],
    ['en', 'Legal notice', ADDRESS, undefined, ['legal-notice.html']],
    ['ar', 'سياسة الخصوصية', ADDRESS, {}, ['privacy.html']],
    ['he', 'מדיניות הפרטיות', ADDRESS, {}, ['privacy.html']],
    ['ja', 'プライバシーポリシー', ADDRESS, {}, ['privacy.html']],
    ['en', 'Terms of use', ADDRESS, {}, []],
    ['fr', 'CGV', ADDRESS, {}, []],
  ]) {
    const at = `${code} ${name}`;
    const change = { selected_pages: [name], business_address: address, legal };
    const made = site(code, change);
    const pages = Object.keys(made).filter((path) => path.endsWith('.html'));
    assert.deepEqual(pages.sort(), ['index.html', '404.html', ...expected].sort(), at);
    const { notes } = legalPages({ ...ORDER, ...change }, language(code));
    assert.equal(notes.length > 0, expected.length === 0 && name !== 'Kontakt', at);
    for (const path of expected) {
      const page = made[path];
      for (const part of ['Webb &#38; Sons', 'Gasse 1', '04109 Leipzig', '(555) 010-3301']) {
        assert.ok(page.includes(part), `${at}: ${part}`);
      }
      assert.equal(page.includes('DE123456789'), legal === vat, at);
      assert.ok(made['index.html'].includes(`href="${path}"`), at);
      assert.doesNotMatch(page, /undefined|\[object|<style/);
    }
  }
});

test('what a law firm offers is no legal notice', () => {
  for (const [niche, name, isNotice] of [
    ['lawyer', 'Legal advice', false], ['lawyer', 'Asesoría legal', false],
    ['lawyer', 'Consulenze legali', false], ['lawyer', 'ייעוץ משפטי', false],
    ['lawyer', 'Legal', true], ['lawyer', 'Legal notice', true],
    ['lawyer', 'Mentions légales', true], ['plumber', 'Legal advice', true],
  ]) {
    const order = { ...ORDER, niche, selected_pages: [name], business_address: ADDRESS };
    assert.equal(legalPages(order, language('en')).links.length, isNotice ? 1 : 0, name);
  }
});

test('the page about data says where the form sends it', () => {
  for (const code of LANGUAGE_CODES) {
    const { words } = language(code);
    for (const endpoint of [undefined, 'https://forms.alpha.test/17?a=b']) {
      const made = site(code, {
        selected_pages: ['Privacy'],
        business_address: ADDRESS,
        form_endpoint: endpoint,
        site_url: 'https://webb.test/',
      });
      const path = Object.keys(made).find((each) => /^(priv|conf|daten)/.test(each));
      const page = made[path];
      assert.equal(page.includes(words.privacyMail), endpoint === undefined, code);
      assert.equal(page.includes('forms.alpha.test'), endpoint !== undefined, code);
      assert.ok(page.includes(words.privacyRights), code);
      assert.ok(page.includes(`href="https://webb.test/${path}"`), code);
      assert.ok(made['sitemap.xml'].includes(`<loc>https://webb.test/${path}</loc>`), code);
    }
  }
});

test('text is readable and a button visible in any colour, light and dark', () => {
  for (const primary of ['#ffffff', '#000000', '#ffff00', '#0b5fff', '#777777', '#b3261e']) {
    const light = colours({ primary_color: primary });
    for (const shades of [light, darkColours(light)]) {
      const { paper, tint, ink, muted, brand, onBrand, brandText, edge } = shades;
      for (const background of [paper, tint]) {
        for (const text of [ink, muted, brandText]) assert.ok(contrast(text, background) >= 4.5);
        assert.ok(contrast(edge, background) >= 3, `${primary}: ${edge} on ${background}`);
      }
      assert.ok(contrast(onBrand, brand) >= 4.5, primary);
      for (const text of [shades.onDeep, shades.accentOnDeep]) {
        assert.ok(contrast(text, shades.deep) >= 4.5, primary);
      }
    }
  }
});

test('the shapes of a drawing can be told apart in any colours', () => {
  // The same rows as in the tests of the other templates: primary, secondary, accent of the order,
  // and of the drawing.
  for (const [given, expected] of [
    [['#000000', '#000000', '#000000'], ['#535353', '#000000', '#bababa']],
    [['#ffffff', '#ffffff', '#ffffff'], ['#939393', '#333333', '#d2d2d2']],
    [['#1b4332', '#f4a261', '#b3261e'], ['#385b4c', '#49311d', '#e3aeab']],
    [['#0b5fff', '#0a2540', '#ffb703'], ['#0b5fff', '#0a2540', '#ffb703']],
    [['#ffeb3b', '#777777', '#ffffff'], ['#9f9325', '#363636', '#d2d2d2']],
    [['#0f1424', '#101010', '#fde047'], ['#515560', '#101010', '#eacf42']],
  ]) {
    const [primary_color, secondary_color, accent_color] = given;
    const drawn = drawnColours(colours({ primary_color, secondary_color, accent_color }));
    const { brand, second, accent, deep, brandSoft, paper } = drawn;
    assert.deepEqual([brand, second, accent].map(hex), expected);
    for (const [one, other] of [
      [brand, paper], [brand, brandSoft], [accent, brand], [accent, paper], [accent, deep],
      [second, brand], [deep, brand], [second, accent], [second, paper],
    ]) {
      assert.ok(contrast(one, other) >= DRAWN, `${given}: ${hex(one)} on ${hex(other)}`);
    }
  }
});

test('the address names each place once', () => {
  for (const [business_address, primary_city, state, expected] of [
    ['Müllerstr. 12, 80469 München', 'München', undefined, ['Müllerstr. 12, 80469 München']],
    ['MÜLLERSTR. 12, MÜNCHEN', 'München', 'Bayern', ['MÜLLERSTR. 12, MÜNCHEN', 'Bayern']],
    ['Floor 2, 12 Quay St', 'Tampa', 'FL', ['Floor 2, 12 Quay St', 'Tampa, FL']],
    ['12 Quay St\nTampa, FL 33602', 'Tampa', 'FL', ['12 Quay St', 'Tampa, FL 33602']],
    ['東京都渋谷区1-2', '渋谷区', '東京都', ['東京都渋谷区1-2']],
    [undefined, 'Tampa', 'FL', ['Tampa, FL']],
  ]) {
    const order = { ...ORDER, business_address, primary_city, state };
    assert.deepEqual(contact(order, language('en')).address, expected);
  }
});

test('the label of a button is cut at a word', () => {
  for (const [cta_text, expected] of [
    [' Call  us ', 'Call us'],
    ['x'.repeat(40), 'x'.repeat(40)],
    ['Agende sua avaliação gratuita com a nossa equipe', 'Agende sua avaliação gratuita com a…'],
    ['  ', language('en').words.call],
  ]) {
    assert.equal(contact({ ...ORDER, cta_text }, language('en')).first.label, expected);
  }
});

/** What an order may have beside the copy, with the texts and links that pages must have. */
const CONTENT = {
  emergency_phone: '+1 (555) 010-9999',
  postal_code: '33602',
  neighborhood: 'Old Town',
  posts: [{
    title: 'Open house', slug: 'open-house', text: 'First line.\nSecond line.',
    date: '2026-03-09', image_url: 'https://img.test/p.jpg',
  }],
  business_address: '12 Quay St',
  country: 'US',
  booking_url: 'https://book.test/',
  order_url: 'https://order.test/',
  menu_url: 'https://menu.test/',
  gift_card_url: 'https://gift.test/',
  donation_url: 'https://give.test/',
  social_tiktok: 'https://tiktok.test/w',
  social_yelp: 'https://yelp.test/w',
  photos: [{ url: 'https://img.test/a.jpg', alt: 'A <van>' }, { url: 'https://img.test/b.jpg' }],
  team: [{ name: 'Ann & Bo', role: 'Owners', bio: 'Two', photo_url: 'https://img.test/t.jpg' }],
  locations: [{
    name: 'Roath', address: '1 Albany Rd', city: 'Cardiff', phone: '+44 29 2018 0142',
    email: 'roath@example.com', hours: [{ day: 'monday', ranges: ['08:00-12:00'] }],
    hours_notes: [{ label: 'Sat', text: 'till sold out' }],
  }],
  legal: {
    legal_name: 'Webb LLC', representative: 'Ann Webb', vat_id: 'DE123', tax_id: '99-1',
    siret: '812 345', siren: '812', ein: '55-5', company_number: 'HRB 7', license_number: 'CFC 1',
  },
};
const SHOWN = [
  'Old Town', 'Open house', '<p dir="auto">Second line.</p>', 'datetime="2026-03-09"',
  'href="https://img.test/p.jpg"', 'href="tel:+15550109999"', '33602', 'href="https://book.test/"', 'href="https://order.test/"',
  'href="https://menu.test/"', 'href="https://gift.test/"', 'href="https://give.test/"',
  'href="https://tiktok.test/w"', 'href="https://yelp.test/w"', 'href="https://img.test/a.jpg"',
  'A &#60;van&#62;', 'href="https://img.test/b.jpg"', 'Ann &#38; Bo', 'Owners', 'Two',
  'href="https://img.test/t.jpg"', 'Roath', '1 Albany Rd', 'Cardiff',
  'href="tel:+442920180142"', 'href="mailto:roath@example.com"', 'till sold out', 'Webb LLC',
  'Ann Webb', 'DE123', '99-1', '812 345', '55-5', 'HRB 7', 'CFC 1',
];

test('a form posts to the address of the order, or else opens a mail program', () => {
  const endpoint = 'https://forms.example.com/f/17?a=1&b=2';
  const table = [
    [{ form_endpoint: endpoint }, 'https://forms.example.com/f/17?a&#61;1&#38;b&#61;2', false],
    [{ form_endpoint: endpoint, business_email: undefined },
      'https://forms.example.com/f/17?a&#61;1&#38;b&#61;2', false],
    [{}, 'mailto:office@example.com', true],
    [{ form_endpoint: 'javascript:alert(1)' }, 'mailto:office@example.com', true],
    [{ business_email: undefined }, undefined, false],
  ];
  for (const [change, action, byMail] of table) {
    for (const code of LANGUAGE_CODES) {
      const { words } = language(code);
      const page = site(code, { primary_cta: 'form', ...change })['index.html'];
      const written = /<form action="([^"]*)"/.exec(page)?.[1];
      const decoded = written?.replace(/&#(\d+);/g, (_, number) => String.fromCharCode(number));
      const expected = action?.replace(/&#(\d+);/g, (_, number) => String.fromCharCode(number));
      assert.equal(decoded, expected, code);
      assert.equal(page.includes('enctype="text/plain"'), byMail, code);
      assert.equal(page.includes('href="#write"'), action !== undefined, code);
      const lead = byMail ? words.formLead : words.formLeadPost;
      const text = page.replace(/&#(\d+);/g, (_, number) => String.fromCharCode(number));
      assert.equal(text.includes(lead), action !== undefined, `${code}: ${lead}`);
      for (const [, id] of page.matchAll(/<label for="([^"]*)"/g)) {
        assert.ok(page.includes(`id="${id}"`), `${code}: ${id}`);
      }
    }
  }
});

test('what the order says beside the copy is shown in every language', () => {
  for (const code of LANGUAGE_CODES) {
    const page = site(code, CONTENT)['index.html'];
    for (const part of SHOWN) assert.ok(page.includes(part), `${code}: ${part}`);
    for (const word of ['news', 'team', 'locations', 'photos', 'vat', 'responsible', 'emergency']) {
      assert.ok(page.includes(language(code).words[word]), `${code}: ${word}`);
    }
    assert.doesNotMatch(page, /<img|undefined|\[object/, code);
    const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    assert.equal(new Set(ids).size, ids.length, code);
  }
  const page = site('en', { ...CONTENT, primary_cta: 'book_online' })['index.html'];
  assert.equal(page.split('https://book.test/').length, 3, 'both buttons, and no third one');
});
