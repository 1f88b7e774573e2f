"""The title of a page, for the browser's tab and for search results."""

import re

MAX_TITLE = 59
"""Maximum length, in characters: search engines cut longer titles."""

FEWEST = 14
"""Fewest characters of the page's own title that tell it from those of other pages."""


def title(business: str, own: str) -> str:
    """The business's name, then the page's own title, cut at a word. A name that leaves no room for
    the page's title is cut too, so that no two pages have the same title.
    """
    name = " ".join(business.split())
    if name in own and len(own) <= MAX_TITLE:
        return own
    part = at_word(own, MAX_TITLE - len(name) - 3)
    if len(part) >= min(len(own), FEWEST):
        return f"{name} · {part}"
    short = at_word(own, MAX_TITLE // 2)
    rest = at_word(name, MAX_TITLE - len(short) - 3)
    # Two halves of texts say less than the whole name.
    if rest != name and short != own and len(name) <= MAX_TITLE:
        return name
    return f"{rest} · {short}" if rest and short else at_word(name or own, MAX_TITLE)


def at_word(text: str, limit: int) -> str:
    """The beginning of the text, at most `limit` characters, with an ellipsis if something is left
    out. Cut after a word, if there is a space in its second half.
    """
    if len(text) <= limit:
        return text
    short = text[: max(limit - 1, 0)]
    space = short.rfind(" ")
    if not text[len(short)].isspace() and space * 2 > len(short):
        short = short[:space]
    short = re.sub(r"[\W_]+$", "", short)
    return short and f"{short}…"
