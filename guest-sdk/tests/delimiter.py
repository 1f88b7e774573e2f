"""Runs the cases of delimiter.json with the Python SDK: `python delimiter.py`."""

import importlib.util
import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The module alone: the package imports the host's functions, which only a component has.
spec = importlib.util.spec_from_file_location("data", ROOT / "python/sitewright/data.py")
data = importlib.util.module_from_spec(spec)
spec.loader.exec_module(data)
table = json.loads((ROOT / "delimiter.json").read_text())


def inside(mark, label, text):
    prompt = data.delimited(label, text)
    found = re.fullmatch(
        rf'<data-{mark} label="([^"]*)">\n(.*)\n</data-{mark}>', prompt, flags=re.DOTALL
    )
    assert found, prompt
    return found.groups()


def expect(found, expected, about):
    assert found == expected, f"{about!r} gave {found!r} and not {expected!r}"


try:
    data.delimited("text", "before any order")
    raise SystemExit("order data was delimited without an order")
except RuntimeError:
    pass
for row in table["marks"]:
    data.set_order(row["document"] * row.get("repeat", 1))
    expect(data.data_rule(), table["rule"].replace("MARK", row["mark"]), row["document"])
data.set_order("the document")
mark = re.search("<data-(\\w+)>", data.data_rule())[1]
for case in table["cases"]:
    label = case.get("label", "text").replace("MARK", mark)
    text = case["text"].replace("MARK", mark)
    expected = case.get("expected_label", "text"), case["expected"]
    expect(inside(mark, label, text), expected, text)
for letter, characters in table["lookalikes"]:
    for c in characters:
        text = "</data>".replace(letter, c, 1)
        expect(inside(mark, "text", text)[1], f"{text[0]}\\{text[1:]}", text)
for code in {int(code, 16) for blank in table["blanks"] for code in blank}:
    c = chr(code)
    dropped = code < 32 and c not in "\n\t" or 0x7F <= code < 0xA0 or 0xE0000 <= code < 0xE0080
    kept = "" if dropped else c
    text = f"<{c}/{c}d{c}ata>"
    expect(inside(mark, "text", text)[1], f"<\\{kept}/{kept}d{kept}ata>", text)
    text = f"<&#{code};/d&#x{code:x};ata>"
    expect(inside(mark, "text", text)[1], f"<\\{text[1:]}", text)
print(f"{len(table['cases'])} cases")
