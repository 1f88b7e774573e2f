"""Text that enters a page."""

import json
import re
from string.templatelib import Template


class Html(str):
    """A piece of HTML that is safe to insert: made by `html`, and by nothing else."""


def html(template: Template) -> Html:
    """HTML with values in it: a t-string. Every value is escaped, in text and in attributes (which must be quoted); what `html`
    made itself goes in as it is, lists and generators are joined, and `None` and `False` are nothing. `{price:.2f}` and `{name!r}` are
    as in f-strings.

        html(t'<ul class="{kind}">{[html(t"<li>{name}</li>") for name in names]}</ul>')
    """
    return Html("".join(part if isinstance(part, str) else _inserted(_formatted(part)) for part in template))


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
    """Besides what HTML gives a meaning to, `{`, `}`, `$` and the backtick are escaped: browsers show them the same, and a
    customer who is called `{{NAME}}` must not look like a forgotten placeholder to whoever reads the file.
    """
    text = re.sub(r"[<>&\"'{}$`]", lambda found: f"&#{ord(found[0])};", text)
    # Not allowed in HTML, not even as a reference.
    return re.sub(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]", " ", text)


def json_for_script(value) -> Html:
    """A value as JSON inside a `<script>` element: nothing in it can end the element or look like a placeholder."""

    def safe(literal):
        return re.sub(r"[<>&{}$`\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", literal[0])

    # Only texts hold what strangers wrote.
    return Html(re.sub(r'"(?:[^"\\]|\\.)*"', safe, json.dumps(value, ensure_ascii=False)))
