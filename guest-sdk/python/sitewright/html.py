"""HTML with escaped values."""

import json
import re
from string.templatelib import Template


class Html(str):
    """Safe HTML, which `html` inserts without escaping. Created only by `html` and
    `json_for_script`.
    """


def html(template: Template) -> Html:
    """Renders a t-string as HTML.

    All values are escaped for text and for quoted attributes: always quote attributes. `Html` is
    inserted unchanged, iterables are concatenated, and `None` and `False` are empty. Format
    specifications and conversions (`{price:.2f}`, `{name!r}`) work as in f-strings.

        html(t'<ul class="{kind}">{[html(t"<li>{name}</li>") for name in names]}</ul>')
    """
    parts = (
        part if isinstance(part, str) else _inserted(_formatted(part)) for part in template
    )
    return Html("".join(parts))


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


def json_for_script(value) -> Html:
    """A value as JSON for a `<script>` element. No value can close the element or look like a
    placeholder.
    """

    def safe(literal):
        return re.sub(r"[<>&{}$`\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", literal[0])

    # Only string literals can contain untrusted input.
    return Html(re.sub(r'"(?:[^"\\]|\\.)*"', safe, json.dumps(value, ensure_ascii=False)))
