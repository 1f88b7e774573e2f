"""HTML with escaped values."""

import functools
import json
import re
from string.templatelib import Template
from typing import Any


class Html(str):
    """Safe HTML, which `html` inserts without escaping. Created only by `html` and
    `json_for_script`.
    """


def html(template: Template) -> Html:
    """Renders a t-string as HTML.

    All values are escaped for text and for quoted attributes. `Html` is inserted unchanged,
    iterables are concatenated, and `None` and `False` are empty. Format specifications and
    conversions (`{price:.2f}`, `{name!r}`) work as in f-strings.

        html(t'<ul class="{kind}">{[html(t"<li>{name}</li>") for name in names]}</ul>')

    Raises:
        TypeError: the argument is not a t-string, because the values of an f-string cannot be
            escaped any more; or a value is an attribute without quotes, or a text other than a name
            at another place inside a tag, because a space in it would begin another attribute.
    """
    if not isinstance(template, Template):
        if isinstance(template, Html):
            return template
        raise TypeError(
            f"html() needs a t-string, and got {type(template).__name__}: write html(t\"…\") with "
            "`t` in place of `f`; the values in an f-string are no longer known, so nothing could "
            "escape them"
        )
    places = _places(template.strings)
    page = template.strings[0]
    for place, part, text in zip(places, template.interpolations, template.strings[1:]):
        value = _formatted(part)
        _check(place, value, page)
        page += _inserted(value) + text
    return Html(page)


def _formatted(part):
    value = part.value
    match part.conversion:
        case "s":
            value = str(value)
        case "r":
            value = repr(value)
        case "a":
            value = ascii(value)
    return format(value, part.format_spec) if part.format_spec else value


def _inserted(value):
    if isinstance(value, Html):
        return value
    if value is None or value is False:
        return ""
    if isinstance(value, str):
        return _escape(value)
    if hasattr(value, "__iter__"):
        return "".join(_inserted(each) for each in value)
    return _escape(str(value))


def _escape(text):
    """Escapes for text and quoted attributes. `{`, `}`, `$` and the backtick are escaped too, so
    that a business with the name `{{NAME}}` is not reported as a placeholder.
    """
    text = re.sub(r"[<>&\"'{}$`]", lambda found: f"&#{ord(found[0])};", text)
    # Control characters are not allowed in HTML, not even as references.
    return re.sub(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]", " ", text)


# The name of an element or attribute, which is safe anywhere in a tag.
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*", re.ASCII)


def _check(place, value, before):
    """Raises a TypeError if a value is not safe at its place."""
    if place in ("text", "quoted"):
        return
    if place == "unquoted":
        raise TypeError(
            f"an attribute has no quotes: after {before[-40:]!r} write `=\"{{…}}\"`, because a "
            "space in the value would begin another attribute"
        )
    if isinstance(value, Html) or value is None or value is False or value == "":
        return
    is_text = isinstance(value, str) and not _NAME.fullmatch(value)
    if is_text or (hasattr(value, "__iter__") and not isinstance(value, str)):
        raise TypeError(
            f"a text is inserted inside a tag, after {before[-40:]!r}: quote it as the value of an "
            "attribute, or insert a whole attribute that `html` made"
        )


# Elements whose content is not markup.
_RAW = ("script", "style", "textarea", "title")
_TAG = re.compile(r"<(?:(!--)|(/?)([a-zA-Z][^\s/>]*))")
_UNQUOTED = re.compile(r"[^\s>]*")


@functools.cache
def _places(strings):
    """Where each value of a t-string stands: `text` (also comments and the content of scripts and
    styles), `quoted`, `unquoted` (an attribute), or `tag` (elsewhere in a tag).
    """
    places = []
    state, quote, name = "text", "", ""
    # The end tag that ends raw text, or nothing.
    raw = ""
    for text in strings[:-1]:
        at = 0
        while at < len(text):
            if state == "text":
                begin = text.find("<", at)
                if begin < 0:
                    break
                at = begin + 1
                if not raw and text[begin:] in ("<", "</"):
                    # The value is the name of the element.
                    state, name, at = "tag", "", len(text)
                    continue
                found = _TAG.match(text, begin)
                if not found or (raw and not (found[2] and found[3].lower() == raw)):
                    continue
                if found[1]:
                    end = text.find("-->", begin + 4)
                    if end < 0:
                        state = "comment"
                    at = len(text) if end < 0 else end + 3
                    continue
                raw = ""
                name = "" if found[2] else found[3].lower()
                state, at = "tag", found.end()
            elif state == "comment":
                end = text.find("-->", at)
                if end < 0:
                    break
                state, at = "text", end + 3
            elif state == "quoted":
                end = text.find(quote, at)
                if end < 0:
                    break
                state, at = "tag", end + 1
            else:
                c = text[at]
                if c == ">":
                    state = "text"
                    if name in _RAW:
                        raw = name
                elif c == "=":
                    state = "unquoted"
                elif state == "unquoted" and c in "\"'":
                    state, quote = "quoted", c
                elif state == "unquoted" and not c.isspace():
                    # A literal value without quotes ends at a space; a value right after it
                    # belongs to it.
                    at = _UNQUOTED.match(text, at).end()
                    if at < len(text):
                        state = "tag"
                    continue
                at += 1
        places.append("text" if state == "comment" else state)
        # The value of an attribute without quotes is refused, whatever follows it.
        if state == "unquoted":
            state = "tag"
    return places


def json_for_script(value: Any) -> Html:
    """A value as JSON for a `<script>` element. No value can close the element or look like a
    placeholder.
    """

    def safe(literal):
        return re.sub(r"[<>&{}$`\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", literal[0])

    # Only string literals can contain untrusted input.
    return Html(re.sub(r'"(?:[^"\\]|\\.)*"', safe, json.dumps(value, ensure_ascii=False)))
