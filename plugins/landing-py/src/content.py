"""What the order says of the business beside the copy. `html` escapes every interpolated value."""

from sitewright import html

from contact import lines_of, mailto, safe_url, tel
from hours import rows

TAX_NUMBERS = {"BR": "CNPJ", "PT": "NIF", "ES": "NIF", "AU": "ABN"}
"""Proper names of numbers are the same in all languages."""


def team(order, words):
    """The people of the business."""

    def entry(person):
        photo = safe_url(person.photo_url)
        link = photo and away(photo, words.photo.format(person.name))
        return html(
            t"<li><h3><bdi>{person.name}</bdi></h3>"
            t"{person.role and html(t'<p><bdi>{person.role}</bdi></p>')}"
            t"{person.bio and html(t'<p dir="auto">{person.bio}</p>')}"
            t"{link and html(t'<p>{link}</p>')}</li>"
        )

    return section("team", words.team, [entry(person) for person in order.team])


def locations(order, lang):
    """The places of a business that has several."""
    words = lang.words

    def entry(place):
        city, address = place.get("city"), lines_of(place.get("address"))
        if city and not any(city in line for line in address):
            address.append(city)
        name = place.get("name") or city or next(iter(address), None)
        phone, email = place.get("phone"), place.get("email")
        times = [
            html(t"<p>{days}{words.colon}{isolated(times, words.comma)}</p>")
            for days, times in rows(place.get("hours") or [], lang)
        ]
        return html(
            t"<li>{name and html(t'<h3><bdi>{name}</bdi></h3>')}"
            t"{address and html(t'<p>{isolated(address, html(t"<br>"))}</p>')}"
            t"{phone and linked(tel(phone), phone)}{email and linked(mailto(email), email)}"
            t"{times}{notes(place.get('hours_notes') or [], words)}</li>"
        )

    return section("locations", words.locations, [entry(place) for place in order.locations])


def photos(order, words):
    """Links to the photos: the page loads nothing from other sites."""
    links = [
        html(t"<li>{away(url, photo.alt or words.photo.format(at + 1))}</li>")
        for at, photo in enumerate(order.photos)
        if (url := safe_url(photo.url))
    ]
    if not links:
        return None
    return html(
        t'<section id="photos"><h2>{words.photos}</h2><ul class="links">{links}</ul></section>'
    )


def posts(order, lang):
    """The posts, in the customer's words."""
    words = lang.words

    def entry(number, post):
        day = post.date and html(
            t'<p><time datetime="{post.date}">{lang.date(post.date)}</time></p>'
        )
        paragraphs = [html(t'<p dir="auto">{line}</p>') for line in lines_of(post.text)]
        photo = safe_url(post.image_url)
        link = photo and away(photo, post.image_alt or words.photo.format(number))
        return html(
            t"<li><h3><bdi>{post.title}</bdi></h3>{day}{paragraphs}"
            t"{link and html(t'<p>{link}</p>')}</li>"
        )

    entries = [entry(at + 1, post) for at, post in enumerate(order.posts)]
    return section("news", words.news, entries)


def notes(said, words):
    """What is said about opening hours that is not a range of times."""

    def entry(note):
        label = note.get("label")
        about = label and html(t"<bdi>{label}</bdi>{words.colon}")
        return html(t"<p>{about}<bdi>{note['text']}</bdi></p>")

    return [entry(note) for note in said]


def known_identifiers(order, words) -> list[tuple[str, str]]:
    """Name and value of each identifier that the law wants to be shown."""
    names = {
        "legal_name": words.responsible,
        "representative": words.representative,
        "vat_id": words.vat,
        "tax_id": TAX_NUMBERS.get(order.country, words.tax_number),
        "siret": "SIRET",
        "siren": "SIREN",
        "ein": "EIN",
        "company_number": words.company_number,
        "license_number": words.license,
    }
    return [(label, order.legal[name]) for name, label in names.items() if order.legal.get(name)]


def identifiers(order, words):
    lines = [
        html(t"{at > 0 and ' · '}{label}{words.colon}<bdi>{value}</bdi>")
        for at, (label, value) in enumerate(known_identifiers(order, words))
    ]
    return lines and html(t"<p>{lines}</p>")


def section(name, heading, entries):
    if not entries:
        return None
    return html(
        t'<section id="{name}"><h2>{heading}</h2><ul class="cards">{entries}</ul></section>'
    )


def isolated(parts, separator):
    """The texts, each with a direction of its own."""
    return [
        html(t"{separator if at > 0 else None}<bdi>{part}</bdi>") for at, part in enumerate(parts)
    ]


def away(href, label):
    return html(t'<a href="{href}" rel="noopener"><bdi>{label}</bdi></a>')


def linked(href, text):
    return html(t'<p><a href="{href}"><bdi dir="ltr">{text}</bdi></a></p>')
