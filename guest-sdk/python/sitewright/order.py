"""What the customer wants."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

SCHEMA = (Path(__file__).parent / "order.schema.json").read_text()
"""JSON Schema of the documents that `Order.read` takes. The host checks every order against it before the run."""


@dataclass
class Testimonial:
    """What one customer said."""

    text: str
    name: str | None = None
    rating: float | None = None
    role: str | None = None


@dataclass
class Order:
    """An order, as the host hands it over: checked, and with `None` or an empty list for what is missing.

    `order.schema.json` tells what each field means.
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
    """`[{"day": "monday", "ranges": ["09:00-18:00"]}]`, in the order of the week; no ranges: closed on that day."""
    social_facebook: str | None = None
    social_instagram: str | None = None
    social_linkedin: str | None = None
    social_youtube: str | None = None
    testimonials: list[Testimonial] = field(default_factory=list)
    google_reviews_link: str | None = None
    about_owner: str | None = None
    years_in_business: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Business data of the CRM that this version does not know."""

    @classmethod
    def read(cls, document: str) -> "Order":
        """The order in a JSON document of that schema."""
        given = json.loads(document)
        known = {each.name for each in fields(cls)}
        order = cls(**{name: value for name, value in given.items() if name in known})
        order.testimonials = [Testimonial(**said) for said in order.testimonials]
        return order
