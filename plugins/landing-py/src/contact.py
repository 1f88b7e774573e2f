"""Ways to reach the business, as links."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from sitewright import Order


@dataclass
class Link:
    href: str
    label: str


@dataclass
class Ways:
    """What a visitor should do first and second, all other ways, and notes on what could not be linked."""

    first: Link
    second: Link
    phone: Link
    email: Link
    address: list[str]
    social: list[Link]
    notes: list[tuple[str, str]]


def contact(order: Order, words) -> Ways:
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

    wanted = {"whatsapp": whatsapp or phone, "form": email, "book_online": email}.get(order.primary_cta, phone)
    first = Link(wanted.href, (order.cta_text or "").strip()[:40] or wanted.label)
    second = (whatsapp or email) if wanted is phone else phone
    return Ways(first, second, phone, email, address_lines(order), social(order), notes)


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
    return [Link(safe, label) for label, href in networks.items() if (safe := web_address(href))]


def web_address(text):
    """The address as HTML wants it. The host has checked that it is one of the web."""
    if not re.match(r"https?://[^/.?#]", text or ""):
        return None
    return quote(text.strip(), safe="-._~:/?#@!$&()*+,;=%")


def mailto(address):
    """`mailto:` with everything encoded that could begin a header or another address."""
    name, _, domain = address.rpartition("@")
    return f"mailto:{quote(name, safe='')}@{quote(domain, safe='')}"
