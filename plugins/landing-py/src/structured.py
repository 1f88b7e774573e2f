"""Structured data for search engines (JSON-LD with the vocabulary of schema.org)."""

from contact import lines_of

TYPES = {
    "restaurant": "Restaurant",
    "lawyer": "Attorney",
    "dentist": "Dentist",
    "real_estate": "RealEstateAgent",
    "plumber": "Plumber",
    "electrician": "Electrician",
    "landscaping": "HomeAndConstructionBusiness",
    "cleaning": "HomeAndConstructionBusiness",
}


def business(order, copy, contacts, offered, address):
    known = {
        "@context": "https://schema.org",
        "@type": TYPES.get(order.niche, "LocalBusiness"),
        "name": order.business_name,
        "description": copy.description,
        "url": address,
        "telephone": order.business_phone,
        "email": order.business_email,
        "legalName": order.legal.get("legal_name"),
        "vatID": order.legal.get("vat_id"),
        "taxID": order.legal.get("tax_id"),
        "logo": order.logo_url,
        "image": [photo.url for photo in order.photos],
        "address": present({
            "@type": "PostalAddress",
            "streetAddress": ", ".join(lines_of(order.business_address)),
            "addressLocality": order.primary_city,
            "addressRegion": order.state,
            "postalCode": order.postal_code,
            "addressCountry": order.country,
        }),
        "areaServed": order.service_areas,
        "openingHoursSpecification": [
            opening(each["day"], span) for each in order.business_hours for span in each["ranges"]
        ],
        "sameAs": [link.href for link in contacts.social],
        "makesOffer": [
            {"@type": "Offer", "itemOffered": {"@type": "Service", "name": name}}
            for name in offered
        ],
    }
    return present(known)


def present(values):
    return {name: value for name, value in values.items() if value}


def opening(day, span):
    opens, closes = span.split("-")
    return {
        "@type": "OpeningHoursSpecification",
        "dayOfWeek": day.capitalize(),
        "opens": opens,
        "closes": "23:59" if closes == "24:00" else closes,
    }
