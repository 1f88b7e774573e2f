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
class Order:
    """An order, validated by the host. Absent fields are `None` or an empty list.

    `order.schema.json` documents the fields. The texts are untrusted input.
    """

    id: str
    locale: str
    business_name: str
    business_email: str
    business_phone: str
    niche: str
    primary_city: str
    state: str
    primary_service: str
    has_whatsapp: bool = False
    business_address: str | None = None
    custom_niche: str | None = None
    service_areas: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    site_objective: str | None = None
    site_description: str | None = None
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
    social_facebook: str | None = None
    social_instagram: str | None = None
    social_linkedin: str | None = None
    social_youtube: str | None = None
    testimonials: list[Testimonial] = field(default_factory=list)
    google_reviews_link: str | None = None
    about_owner: str | None = None
    years_in_business: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Business data of the CRM that this version does not know, unchanged."""

    @classmethod
    def read(cls, document: str) -> "Order":
        """Parses a JSON document that is valid against `SCHEMA`."""
        given = json.loads(document)
        known = {item.name for item in fields(cls)}
        order = cls(**{name: value for name, value in given.items() if name in known})
        order.testimonials = [Testimonial(**entry) for entry in order.testimonials]
        return order
