"""The order."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

SCHEMA = (Path(__file__).parent / "order.schema.json").read_text()
"""JSON Schema of the documents that `Order.read` parses. The host validates each order against it
before the run.
"""


@dataclass
class Testimonial:
    """The testimonial of a customer."""

    text: str
    name: str | None = None
    rating: float | None = None
    role: str | None = None


@dataclass
class Price:
    """What something costs, in the words of the customer."""

    name: str
    price: str | None = None
    duration: str | None = None
    description: str | None = None
    includes: list[str] = field(default_factory=list)
    group: str | None = None


@dataclass
class Photo:
    """A photo of the business or of its work."""

    url: str
    alt: str | None = None


@dataclass
class Post:
    """An article of a blog, or a piece of news, in the customer's words."""

    title: str
    slug: str
    """The part of its address, unlike that of any other post of the order."""
    text: str
    """The article; paragraphs are lines."""
    date: str | None = None
    """The day of its publication: `2026-03-09`. Never made up."""
    summary: str | None = None
    image_url: str | None = None
    image_alt: str | None = None


@dataclass
class Person:
    """A person of the team."""

    name: str
    role: str | None = None
    bio: str | None = None
    photo_url: str | None = None


@dataclass
class Order:
    """An order, validated by the host. Absent fields are `None` or an empty list.

    `order.schema.json` documents the fields. The texts are untrusted input.
    """

    id: str
    locale: str
    business_name: str
    business_email: str | None = None
    """At least one of `business_email`, `business_phone` and `whatsapp_phone` is there."""
    business_phone: str | None = None
    has_whatsapp: bool = False
    whatsapp_phone: str | None = None
    emergency_phone: str | None = None
    niche: str = "general"
    primary_city: str | None = None
    neighborhood: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    primary_service: str | None = None
    prices: list[Price] = field(default_factory=list)
    menu: list[dict[str, Any]] = field(default_factory=list)
    """`[{"section": "Bread", "items": [{"name": "Rye", "price": "£4", "allergens": []}]}]`."""
    posts: list[Post] = field(default_factory=list)
    business_address: str | None = None
    custom_niche: str | None = None
    service_areas: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    site_objective: str | None = None
    site_description: str | None = None
    site_url: str | None = None
    booking_url: str | None = None
    order_url: str | None = None
    donation_url: str | None = None
    menu_url: str | None = None
    gift_card_url: str | None = None
    form_endpoint: str | None = None
    logo_url: str | None = None
    photos: list[Photo] = field(default_factory=list)
    selected_pages: list[str] = field(default_factory=list)
    tone: str = "professional"
    primary_cta: str = "call"
    cta_text: str | None = None
    primary_color: str | None = None
    secondary_color: str | None = None
    accent_color: str | None = None
    reference_sites: list[str] = field(default_factory=list)
    design_notes: str | None = None
    business_hours: list[dict[str, Any]] = field(default_factory=list)
    """`[{"day": "monday", "ranges": ["09:00-18:00"]}]`, from Monday. The business is closed on a
    day without ranges; the hours of a day that is not listed are unknown.
    """
    hours_notes: list[dict[str, Any]] = field(default_factory=list)
    """What is said about the hours that is not a range of times, to be shown beside them:
    `[{"days": ["saturday"], "label": "samedi", "text": "sur rendez-vous"}]`.
    """
    locations: list[dict[str, Any]] = field(default_factory=list)
    social_facebook: str | None = None
    social_instagram: str | None = None
    social_linkedin: str | None = None
    social_youtube: str | None = None
    social_tiktok: str | None = None
    social_x: str | None = None
    social_threads: str | None = None
    social_pinterest: str | None = None
    social_telegram: str | None = None
    social_tripadvisor: str | None = None
    social_yelp: str | None = None
    testimonials: list[Testimonial] = field(default_factory=list)
    google_reviews_link: str | None = None
    about_owner: str | None = None
    team: list[Person] = field(default_factory=list)
    years_in_business: int | None = None
    legal: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    """Business data of the CRM that this version does not know, unchanged."""

    @classmethod
    def read(cls, document: str) -> "Order":
        """Parses a JSON document that is valid against `SCHEMA`."""
        given = json.loads(document)
        known = {item.name for item in fields(cls)}
        order = cls(**{name: value for name, value in given.items() if name in known})
        order.testimonials = [Testimonial(**entry) for entry in order.testimonials]
        order.prices = [Price(**entry) for entry in order.prices]
        order.photos = [Photo(**entry) for entry in order.photos]
        order.posts = [Post(**entry) for entry in order.posts]
        order.team = [Person(**entry) for entry in order.team]
        return order
