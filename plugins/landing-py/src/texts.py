"""The AI requests, and how the text of the replies is cleaned before a page shows it."""

import re
from dataclasses import dataclass

from sitewright import Failure, Order, Question, ask_all

from hours import opening_hours

PURPOSE = "copywriting"

MAX_DESCRIBED = 12
"""Maximum number of services with a description; the page lists the others by name."""

RULES = """\
You are a senior copywriter of a web design agency. \
You write one part of a single-page site for a local business.

Rules, without exception:
- Write only in the language the request names, as an educated native speaker of that place writes.
- Use only facts from the data. \
Never invent prices, numbers, years, awards, names, addresses, opening hours or quotations.
- Be concrete and plain: no clichés, no superlatives without proof, no exclamation marks, no emoji.
- Plain text only: no HTML, no Markdown, no links, no placeholders."""


def text(description):
    return {"type": "string", "description": description}


def array(items, description):
    return {"type": "array", "items": items, "description": description}


def record(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


PARTS = {
    "opening": (
        "Write the beginning of the page. The headline names a benefit, not the business.",
        record(
            title=text("For the browser's tab: 20 to 60 characters, without the business's name."),
            description=text("For search results: 70 to 155 characters."),
            headline=text("At most 60 characters, no full stop."),
            lead=text("One or two sentences, at most 220 characters."),
        ),
    ),
    "services": (
        "Write about what the business offers: one text for each entry of the data `services`, "
        "in its order.",
        record(
            heading=text("2 to 6 words."),
            lead=text("One sentence."),
            texts=array(
                {"type": "string"},
                "One or two sentences for each service, in the order of the data.",
            ),
        ),
    ),
    "about": (
        "Write about the business itself, in the first person plural.",
        record(
            heading=text("2 to 6 words."),
            paragraphs=array({"type": "string"}, "1 to 3 paragraphs."),
        ),
    ),
    "questions": (
        "Write the questions that customers ask before the first contact, with honest answers.",
        record(
            questions=array(
                record(
                    question=text("As a customer asks it."),
                    answer=text("One to three sentences."),
                ),
                "3 to 6.",
            )
        ),
    ),
}
"""The parts of the page: the task and the JSON schema of the reply for each."""


@dataclass
class Copy:
    """The cleaned copy of the page."""

    title: str
    description: str
    headline: str
    lead: str
    services_heading: str
    services_lead: str
    services: list[str]
    about_heading: str
    about: list[str]
    questions: list[tuple[str, str]]


async def write(order: Order, lang) -> Copy:
    """Requests the copy of all parts concurrently and cleans it.

    Raises `empty-copy` if the headline or the text about the business is empty.
    """
    data = {"order": facts(order), "services": services(order)[:MAX_DESCRIBED]}
    replies = await ask_all({
        part: Question(
            purpose=PURPOSE,
            system=RULES,
            # Scripted replies match the first three lines.
            user=f"part: {part}\nlocale: {lang.tag}\norder: {order.id}\n\n"
            f"Language: {lang.name} ({lang.tag}). {lang.voice}\n"
            f"Tone: {order.tone}.\n{task}",
            data=data,
            schema=schema,
            temperature=0.7,
        )
        for part, (task, schema) in PARTS.items()
    })
    opening, offered = replies["opening"].value, replies["services"].value
    about, asked = replies["about"].value, replies["questions"].value

    paragraphs = [shown for each in about["paragraphs"] if (shown := cut(each, 900))]
    if not paragraphs:
        raise empty_copy("about.paragraphs", replies["about"])
    headline = cut(opening["headline"], 90)
    if not headline:
        raise empty_copy("opening.headline", replies["opening"])
    lead = cut(opening["lead"], 320)
    questions = [
        (cut(each["question"], 160), cut(each["answer"], 800)) for each in asked["questions"]
    ]
    return Copy(
        title=cut(opening["title"], 70) or headline,
        description=cut(opening["description"], 180) or lead or headline,
        headline=headline,
        lead=lead,
        services_heading=cut(offered["heading"], 80),
        services_lead=cut(offered["lead"], 240),
        services=[cut(each, 320) for each in offered["texts"]],
        about_heading=cut(about["heading"], 80),
        about=paragraphs[:4],
        questions=[(question, answer) for question, answer in questions if question and answer][:8],
    )


def services(order: Order) -> list[str]:
    """Services without duplicates, the primary one first."""
    names = [cut(name, 120) for name in [order.primary_service or "", *order.services]]
    return [name for name in dict.fromkeys(names) if name]


def cut(value: str, limit: int) -> str:
    """Collapses white space and control characters, and truncates the text at a word boundary.

    The result has at most `limit` characters plus an ellipsis.
    """
    line = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", value).strip()
    if len(line) <= limit:
        return line
    short = line[:limit]
    space = short.rfind(" ")
    return (short[:space] if space > limit / 2 else short).rstrip(" ,;:.") + "…"


def empty_copy(field, reply):
    """Error for a reply that fits its schema and has no text.

    It blames the AI call, so that a retry of the order requests a new reply.
    """
    message = f"the model's reply has nothing in `{field}`; a retry asks it again"
    return Failure("empty-copy", message, ai_calls=[reply.call_id])


def facts(order: Order) -> dict:
    """The fields of the order that the model sees, truncated: no payment data, no contact data."""

    def short(value, limit):
        return value and cut(value, limit)

    return {
        "business_name": cut(order.business_name, 200),
        "trade": short(order.custom_niche, 200) or order.niche,
        "city": short(order.primary_city, 100),
        "state": short(order.state, 100),
        "service_areas": order.service_areas[:30],
        "objective": short(order.site_objective, 200),
        "description": short(order.site_description, 2000),
        "owner": short(order.about_owner, 2000),
        "years_in_business": order.years_in_business,
        "opening_hours": opening_hours(order.business_hours),
        "customers_said": [cut(each.text, 300) for each in order.testimonials[:6]],
    }
