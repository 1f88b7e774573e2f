/** Structured data for search engines (JSON-LD with the vocabulary of schema.org). */

const TYPES = {
  restaurant: 'Restaurant',
  lawyer: 'Attorney',
  dentist: 'Dentist',
  real_estate: 'RealEstateAgent',
  plumber: 'Plumber',
  electrician: 'Electrician',
  landscaping: 'HomeAndConstructionBusiness',
  cleaning: 'HomeAndConstructionBusiness',
};

export function business(order, copy, contacts, offered, address) {
  return {
    '@context': 'https://schema.org',
    '@type': TYPES[order.niche] ?? 'LocalBusiness',
    name: order.business_name,
    description: copy.description,
    url: address,
    telephone: order.business_phone,
    email: order.business_email,
    legalName: order.legal?.legal_name,
    vatID: order.legal?.vat_id,
    taxID: order.legal?.tax_id,
    logo: order.logo_url,
    image: order.photos?.length > 0 ? order.photos.map(({ url }) => url) : undefined,
    address: {
      '@type': 'PostalAddress',
      streetAddress: order.business_address?.split(/\s*[\r\n]+\s*/).join(', '),
      addressLocality: order.primary_city,
      addressRegion: order.state,
      postalCode: order.postal_code,
      addressCountry: order.country,
    },
    areaServed: order.service_areas.length > 0 ? order.service_areas : undefined,
    openingHoursSpecification: order.business_hours.flatMap(({ day, ranges }) =>
      ranges.map((range) => opening(day, range)),
    ),
    sameAs: contacts.social.map(({ href }) => href),
    makesOffer: offered.map((name) => ({
      '@type': 'Offer',
      itemOffered: { '@type': 'Service', name },
    })),
  };
}

function opening(day, range) {
  const [opens, closes] = range.split('-');
  return {
    '@type': 'OpeningHoursSpecification',
    dayOfWeek: day[0].toUpperCase() + day.slice(1),
    opens,
    closes: closes === '24:00' ? '23:59' : closes,
  };
}
