"""Contact links of the business."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from sitewright import Order


@dataclass
class Link:
    href: str
    label: str


@dataclass
class Contacts:
    """The two buttons, all other links, and warnings (code, message) about links left out."""

    first: Link
    second: Link
    phone: Link
    email: Link
    address: list[str]
    social: list[Link]
    notes: list[tuple[str, str]]


def contact(order: Order, words) -> Contacts:
    digits = re.sub(r"\D", "", order.business_phone)
    international = order.business_phone.startswith("+")
    notes = []

    phone = Link(f"tel:{'+' if international else ''}{digits}", words.call)
    email = Link(mailto(order.business_email), words.write)
    whatsapp = None
    if order.has_whatsapp or order.primary_cta == "whatsapp":
        if international:
            whatsapp = Link(f"https://wa.me/{digits}", words.whatsapp)
        else:
            notes.append((
                "whatsapp-number",
                "WhatsApp needs an international number and `business_phone` is "
                f"`{order.business_phone}`; write it with `+` and the country code",
            ))

    actions = {"whatsapp": whatsapp or phone, "form": email, "book_online": email}
    wanted = actions.get(order.primary_cta, phone)
    first = Link(wanted.href, (order.cta_text or "").strip()[:40] or wanted.label)
    second = (whatsapp or email) if wanted is phone else phone
    return Contacts(first, second, phone, email, address_lines(order), social(order), notes)


def address_lines(order):
    lines = [line.strip() for line in (order.business_address or "").splitlines()]
    return [line for line in lines if line]


def social(order):
    networks = {
        "Instagram": order.social_instagram,
        "Facebook": order.social_facebook,
        "LinkedIn": order.social_linkedin,
        "YouTube": order.social_youtube,
        "Google": order.google_reviews_link,
    }
    return [Link(safe, label) for label, href in networks.items() if (safe := safe_url(href))]


def safe_url(text):
    """The URL with the characters encoded that HTML forbids; `None` unless it is a web URL."""
    if not re.match(r"https?://[^/.?#]", text or ""):
        return None
    return quote(text.strip(), safe="-._~:/?#@!$&()*+,;=%")


def mailto(address):
    """`mailto:` URL; encodes every character that could start a header or a second address."""
    name, _, domain = address.rpartition("@")
    return f"mailto:{quote(name, safe='')}@{quote(domain, safe='')}"
