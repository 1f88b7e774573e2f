/** Contact links of the business. */

/** The two buttons, all other links, and warnings about links that had to be left out. */
export function contact(order, words) {
  const digits = order.business_phone.replace(/\D/g, '');
  const international = order.business_phone.startsWith('+');
  const notes = [];

  const phone = { href: `tel:${international ? '+' : ''}${digits}`, label: words.call };
  const email = { href: mailto(order.business_email), label: words.write };
  let whatsapp;
  if (order.has_whatsapp || order.primary_cta === 'whatsapp') {
    if (international) {
      whatsapp = { href: `https://wa.me/${digits}`, label: words.whatsapp };
    } else {
      const message =
        `WhatsApp needs an international number and \`business_phone\` is ` +
        `\`${order.business_phone}\`; write it with \`+\` and the country code`;
      notes.push({ code: 'whatsapp-number', message });
    }
  }

  const actions = { call: phone, whatsapp: whatsapp ?? phone, form: email, book_online: email };
  const wanted = actions[order.primary_cta];
  const first = { ...wanted, label: order.cta_text?.trim().slice(0, 40) || wanted.label };
  const second = wanted === phone ? (whatsapp ?? email) : phone;
  const [address, profiles] = [addressLines(order), social(order)];
  return { first, second, phone, email, whatsapp, address, social: profiles, notes };
}

function addressLines(order) {
  const lines = (order.business_address ?? '').split(/[\r\n]+/).map((line) => line.trim());
  return lines.filter(Boolean);
}

function social(order) {
  const networks = {
    Instagram: order.social_instagram,
    Facebook: order.social_facebook,
    LinkedIn: order.social_linkedin,
    YouTube: order.social_youtube,
    Google: order.google_reviews_link,
  };
  return Object.entries(networks)
    .map(([label, href]) => ({ label, href: safeUrl(href) }))
    .filter(({ href }) => href);
}

/** The URL with the characters encoded that HTML forbids; `undefined` unless it is a web URL. */
function safeUrl(text) {
  if (!/^https?:\/\/[^/.?#]/.test(text ?? '')) return undefined;
  const hex = (character) => `%${character.charCodeAt(0).toString(16)}`;
  return encodeURI(text.trim()).replace(/%25/g, '%').replace(/[[\]^|\\`']/g, hex);
}

/** `mailto:` URL; encodes every character that could start a header or a second address. */
function mailto(address) {
  const at = address.lastIndexOf('@');
  const [name, domain] = [address.slice(0, at), address.slice(at + 1)].map(encodeURIComponent);
  return `mailto:${name}@${domain}`;
}
