"""The title of a page, for the browser's tab and for search results."""

import re

MAX_TITLE = 59
"""Maximum length, in characters: search engines cut longer titles."""


def title(business: str, own: str) -> str:
    """The business's name, then the page's own title, cut at a word."""
    name = " ".join(business.split())
    if name in own and len(own) <= MAX_TITLE:
        return own
    part = at_word(own, MAX_TITLE - len(name) - 3)
    return f"{name} · {part}" if len(part) > 1 else at_word(name, MAX_TITLE)


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
