/** Contact links of the business. */
import { atWord } from './title.js';
import { place } from './words.js';

/** Maximum length of the label of a button, in characters, with its ellipsis. */
const MAX_LABEL = 41;

/**
 * The two buttons, all other links, where the form posts to (if anybody would receive it), and
 * warnings about links that had to be left out.
 */
export function contact(order, lang) {
  const { words } = lang;
  const notes = [];
  const number = order.business_phone;

  const phone = number && { href: phoneLink(number), label: words.call };
  const mail = mailLink(order.business_email);
  const email = mail && { href: mail, label: words.write };
  const wantsWhatsapp = order.has_whatsapp || order.primary_cta === 'whatsapp';
  const chat = order.whatsapp_phone ?? (wantsWhatsapp ? number : undefined);
  let whatsapp;
  if (chat?.startsWith('+')) {
    whatsapp = { href: `https://wa.me/${digits(chat)}`, label: words.whatsapp };
  } else if (chat) {
    const message =
      `WhatsApp needs an international number and \`business_phone\` is ` +
      `\`${chat}\`; write it with \`+\` and the country code`;
    notes.push({ code: 'whatsapp-number', message });
  }

  // The ways to reach the business, the ordered one first; an order names at least one.
  const postsTo = safeUrl(order.form_endpoint) ?? mail;
  const form = postsTo && { href: '#write', label: words.formTitle };
  const booking = safeUrl(order.booking_url);
  const book = booking ? { href: booking, label: words.book } : form;
  const actions = { call: phone, whatsapp, form, book_online: book };
  const ways = [actions[order.primary_cta], phone, whatsapp, email].filter(Boolean);
  const wanted = ways[0];
  const own = (order.cta_text ?? '').trim().replace(/\s+/g, ' ');
  const first = { ...wanted, label: atWord(own, MAX_LABEL) || wanted.label };
  const others = wanted === phone ? [whatsapp, email] : [phone, whatsapp, email];
  const second = others.find((way) => way && way !== wanted);
  return {
    first,
    second,
    links: links(order, words, [first, second]),
    phone,
    email,
    whatsapp,
    address: addressLines(order, lang),
    place: place(order.primary_city, order.state, lang),
    social: social(order),
    form: postsTo,
    notes,
  };
}

/**
 * The lines of the address, followed by the part of the city, the postal code, the city and the
 * state if none of them has it.
 */
function addressLines(order, lang) {
  const lines = (order.business_address ?? '').split(/[\r\n]+/).map((line) => line.trim());
  const known = lines.filter(Boolean);
  const part = known.length > 0 ? order.neighborhood?.trim() : undefined;
  for (const more of [part, order.postal_code?.trim()]) {
    if (more && !known.some((line) => line.includes(more))) known.push(more);
  }
  const unless = (text) => (text && known.some((line) => hasWords(line, text)) ? undefined : text);
  const town = place(unless(order.primary_city), unless(order.state), lang);
  return town ? [...known, town] : known;
}

/** Whether a line has a text, in any case, and not as a part of a Latin word: "FL" in "Floor". */
function hasWords(line, text) {
  const [whole, part] = [line, text.trim()].map((one) => one.toLowerCase());
  const isLatin = (character) => /[a-z0-9\u00c0-\u024f]/.test(character ?? '');
  for (let at = whole.indexOf(part); at >= 0; at = whole.indexOf(part, at + 1)) {
    const end = at + part.length;
    const goesOn = isLatin(whole[at - 1]) && isLatin(part[0]);
    if (!goesOn && !(isLatin(whole[end]) && isLatin(part[part.length - 1]))) return true;
  }
  return false;
}

/** The other addresses at which visitors act, but those of the buttons that are shown. */
function links(order, words, shown) {
  const known = [
    [order.booking_url, words.book],
    [order.order_url, words.orderOnline],
    [order.menu_url, words.menuLink],
    [order.gift_card_url, words.giftCards],
    [order.donation_url, words.donate],
  ];
  return known
    .map(([url, label]) => ({ href: safeUrl(url), label }))
    .filter(({ href }) => href && !shown.some((button) => button?.href === href));
}

function social(order) {
  const networks = {
    Instagram: order.social_instagram,
    Facebook: order.social_facebook,
    LinkedIn: order.social_linkedin,
    YouTube: order.social_youtube,
    TikTok: order.social_tiktok,
    X: order.social_x,
    Threads: order.social_threads,
    Pinterest: order.social_pinterest,
    Telegram: order.social_telegram,
    Tripadvisor: order.social_tripadvisor,
    Yelp: order.social_yelp,
    Google: order.google_reviews_link,
  };
  return Object.entries(networks)
    .map(([label, href]) => ({ label, href: safeUrl(href) }))
    .filter(({ href }) => href);
}

/** The URL with the characters encoded that HTML forbids; `undefined` unless it is a web URL. */
export function safeUrl(text) {
  if (!/^https?:\/\/[^/.?#]/.test(text ?? '')) return undefined;
  const hex = (character) => `%${character.charCodeAt(0).toString(16)}`;
  return encodeURI(text.trim()).replace(/%25/g, '%').replace(/[[\]^|\\`']/g, hex);
}

const digits = (text) => text.replace(/\D/g, '');

/** `tel:` URL. */
export function phoneLink(number) {
  return number && `tel:${number.startsWith('+') ? '+' : ''}${digits(number)}`;
}

/** `mailto:` URL; encodes every character that could start a header or a second address. */
export function mailLink(address) {
  if (!address) return undefined;
  const at = address.lastIndexOf('@');
  const [name, domain] = [address.slice(0, at), address.slice(at + 1)].map(encodeURIComponent);
  return `mailto:${name}@${domain}`;
}
