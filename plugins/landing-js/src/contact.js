/** Ways to reach the business, as links. */

/** What a visitor should do first and second, all other ways, and notes on what could not be linked. */
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
      const message = `WhatsApp needs an international number and \`business_phone\` is \`${order.business_phone}\`; write it with \`+\` and the country code`;
      notes.push({ code: 'whatsapp-number', message });
    }
  }

  const wanted = { call: phone, whatsapp: whatsapp ?? phone, form: email, book_online: email }[order.primary_cta];
  const first = { ...wanted, label: order.cta_text?.trim().slice(0, 40) || wanted.label };
  const second = wanted === phone ? (whatsapp ?? email) : phone;
  return { first, second, phone, email, whatsapp, address: addressLines(order), social: social(order), notes };
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
    .map(([label, href]) => ({ label, href: webAddress(href) }))
    .filter(({ href }) => href);
}

/** The address as HTML wants it. The host has checked that it is one of the web. */
function webAddress(text) {
  if (!/^https?:\/\/[^/.?#]/.test(text ?? '')) return undefined;
  return encodeURI(text.trim()).replace(/%25/g, '%').replace(/[[\]^|\\`']/g, (character) => `%${character.charCodeAt(0).toString(16)}`);
}

/** `mailto:` with everything encoded that could begin a header or another address. */
function mailto(address) {
  const at = address.lastIndexOf('@');
  return `mailto:${encodeURIComponent(address.slice(0, at))}@${encodeURIComponent(address.slice(at + 1))}`;
}
