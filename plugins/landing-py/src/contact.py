"""Contact links of the business."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from sitewright import Order

from title import at_word

MAX_LABEL = 41
"""Maximum length of the label of a button, in characters, with its ellipsis."""


@dataclass
class Link:
    href: str
    label: str


@dataclass
class Contacts:
    """The two buttons, all other links, where the form posts to (`None` if nobody would receive
    it), and warnings (code, message) about links left out.
    """

    first: Link
    second: Link | None
    links: list[Link]
    phone: Link | None
    whatsapp: Link | None
    email: Link | None
    address: list[str]
    place: str
    social: list[Link]
    form: str | None
    notes: list[tuple[str, str]]


def contact(order: Order, lang) -> Contacts:
    words, notes = lang.words, []

    phone = email = whatsapp = None
    if order.business_phone:
        phone = Link(tel(order.business_phone), words.call)
    if order.business_email:
        email = Link(mailto(order.business_email), words.write)
    wants_whatsapp = order.has_whatsapp or order.primary_cta == "whatsapp"
    chat = order.whatsapp_phone or (order.business_phone if wants_whatsapp else None)
    if chat and chat.startswith("+"):
        whatsapp = Link(f"https://wa.me/{digits(chat)}", words.whatsapp)
    elif chat:
        notes.append((
            "whatsapp-number",
            "WhatsApp needs an international number and `business_phone` is "
            f"`{chat}`; write it with `+` and the country code",
        ))

    # The ways to reach the business, the ordered one first; an order names at least one.
    posts_to = safe_url(order.form_endpoint) or (email and email.href)
    form = Link("#write", words.form_title) if posts_to else None
    booking = safe_url(order.booking_url)
    book = Link(booking, words.book) if booking else form
    actions = {"whatsapp": whatsapp, "form": form, "book_online": book}
    ways = [way for way in [actions.get(order.primary_cta), phone, whatsapp, email] if way]
    wanted = ways[0]
    own = " ".join((order.cta_text or "").split())
    first = Link(wanted.href, at_word(own, MAX_LABEL) or wanted.label)
    others = [whatsapp, email] if wanted is phone else [phone, whatsapp, email]
    second = next((way for way in others if way and way is not wanted), None)
    place = lang.place(order.primary_city, order.state)
    lines, networks = address_lines(order, lang), social(order)
    more = links(order, words, [first, second])
    return Contacts(
        first, second, more, phone, whatsapp, email, lines, place, networks, posts_to, notes
    )


def links(order, words, shown):
    """The other addresses at which visitors act, but those of the buttons that are shown."""
    known = [
        (order.booking_url, words.book),
        (order.order_url, words.order_online),
        (order.menu_url, words.menu_link),
        (order.gift_card_url, words.gift_cards),
        (order.donation_url, words.donate),
    ]
    used = {button.href for button in shown if button}
    return [
        Link(safe, label) for url, label in known if (safe := safe_url(url)) and safe not in used
    ]


def address_lines(order, lang):
    """The lines of the address, followed by the part of the city, the postal code, the city and
    the state if none of them has it.
    """
    lines = lines_of(order.business_address)
    part = (order.neighborhood or "").strip() if lines else ""
    for more in [part, (order.postal_code or "").strip()]:
        if more and not any(more in line for line in lines):
            lines.append(more)

    def unless(text):
        return None if text and any(has_words(line, text) for line in lines) else text

    town = lang.place(unless(order.primary_city), unless(order.state))
    return [*lines, town] if town else lines


def has_words(line, text):
    """Whether a line has a text, in any case, but not in a Latin word, as "FL" is in "Floor"."""
    latin = "[a-z0-9\u00c0-\u024f]"
    part = text.strip().lower()
    before = f"(?<!{latin})" if re.match(latin, part) else ""
    behind = f"(?!{latin})" if re.search(f"{latin}$", part) else ""
    return re.search(before + re.escape(part) + behind, line.lower()) is not None


def lines_of(text):
    lines = [line.strip() for line in (text or "").splitlines()]
    return [line for line in lines if line]


def social(order):
    networks = {
        "Instagram": order.social_instagram,
        "Facebook": order.social_facebook,
        "LinkedIn": order.social_linkedin,
        "YouTube": order.social_youtube,
        "TikTok": order.social_tiktok,
        "X": order.social_x,
        "Threads": order.social_threads,
        "Pinterest": order.social_pinterest,
        "Telegram": order.social_telegram,
        "Tripadvisor": order.social_tripadvisor,
        "Yelp": order.social_yelp,
        "Google": order.google_reviews_link,
    }
    return [Link(safe, label) for label, href in networks.items() if (safe := safe_url(href))]


def safe_url(text):
    """The URL with the characters encoded that HTML forbids; `None` unless it is a web URL."""
    if not re.match(r"https?://[^/.?#]", text or ""):
        return None
    return quote(text.strip(), safe="-._~:/?#@!$&()*+,;=%")


def digits(text):
    return re.sub(r"\D", "", text)


def tel(number):
    """`tel:` URL."""
    return f"tel:{'+' if number.startswith('+') else ''}{digits(number)}"


def mailto(address):
    """`mailto:` URL; encodes every character that could start a header or a second address."""
    name, _, domain = address.rpartition("@")
    return f"mailto:{quote(name, safe='')}@{quote(domain, safe='')}"
