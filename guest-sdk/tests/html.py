"""Runs the cases of html.json with the Python SDK: `python html.py`."""

import importlib.util
import json
import sys
import types
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass
class Interpolation:
    value: object
    conversion: str | None = None
    format_spec: str = ""


@dataclass
class Template:
    """As the template strings of Python 3.14; this interpreter may be older."""

    strings: tuple
    interpolations: tuple


sys.modules["string.templatelib"] = types.SimpleNamespace(Template=Template)
# The module alone: the package imports the host's functions, which only a component has.
spec = importlib.util.spec_from_file_location("sitewright_html", ROOT / "python/sitewright/html.py")
html = importlib.util.module_from_spec(spec)
spec.loader.exec_module(html)
table = json.loads((ROOT / "html.json").read_text())


def safe(value):
    if isinstance(value, list):
        return [safe(each) for each in value]
    return html.Html(value["html"]) if isinstance(value, dict) else value


def rendered(argument):
    try:
        return html.html(argument)
    except TypeError as error:
        return str(error)


for case in table["cases"]:
    values = tuple(Interpolation(safe(value)) for value in case["values"])
    found = rendered(Template(tuple(case["strings"]), values))
    passes = case["error"] in found if "error" in case else found == case["expected"]
    assert passes, f"{case!r} gave {found!r}"
# The values of an f-string are lost.
assert "needs a t-string" in rendered("<b>already formatted</b>")
assert rendered(html.Html("<b>")) == "<b>"
print(f"{len(table['cases'])} cases")
