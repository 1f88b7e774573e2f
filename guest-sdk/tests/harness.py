"""Runs the cases of harness.json with the harness of the Python SDK: `python harness.py`.

SITEWRIGHT is the path of the program.
"""

import asyncio
import inspect
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# In place of this folder: its `html.py` is not that of the standard library.
sys.path[0] = str(ROOT / "python")

from sitewright import (
    Failure, FileWriter, Question, Template, ask, ask_all, file_exists, progress, stream, testing,
    warn, write_file,
)
from sitewright.testing import Harness, sample_order

table = json.loads((ROOT / "harness.json").read_text())
GOOD = "[[rule]]\nanswer = { text = \"x\" }\n"


class Probe(Template):
    name = "probe"
    version = "0.1.0"
    summary = "What a case says."
    purposes = {"copywriting": "the text"}
    locales = ["en"]

    def __init__(self, case):
        self.case = case
        for field, value in case.get("manifest", {}).items():
            setattr(self, field, value)

    async def make(self, order):
        if self.case.get("late"):
            await asyncio.get_running_loop().create_future()
        for path, size in self.case.get("write", []):
            write_file(path, bytes(size))
        for path, size in self.case.get("chunks", []):
            with FileWriter(path) as file:
                file.append(bytes(size // 2))
                file.append(bytes(size // 2))
            assert file_exists(path), path
            try:
                file.append(b"more")
                raise SystemExit("a finished file got more")
            except ValueError:
                pass
        if "write" not in self.case and "chunks" not in self.case:
            question = Question(self.case.get("purpose", "copywriting"), "Write.", "A text.")
            await ask(question)


for case in table["cases"]:
    script = case.get("script", GOOD)
    if fault := case.get("fault"):
        script = f"[[rule]]\nanswer = {{ fault = {{ {fault} }} }}\n"
    run = Harness(script).run(Probe(case), sample_order() | case.get("order", {}))
    code = run.failure and run.failure.code
    assert code == case["code"], f"{case} ended with {run.failure}"
    if code and code.startswith("ai-"):
        assert run.failure.ai_calls == ["call-1"] and run.ai_calls[0].failed, run


GOOD_CLASS = {
    "name": "probe", "version": "0.1.0", "summary": "x", "locales": ["en"], "make": Probe.make,
}
for changes, expected in [
    ({}, None),
    ({"locales": ("en", "pt")}, None),
    ({"name": None}, "the template has no `name`, which must be a text"),
    ({"locales": "en"}, "`locales` of the template must be a list of texts, and is 'en'"),
    ({"locales": ["en", 7]}, "must be a list of texts, and is ['en', 7]"),
    ({"purposes": ["copywriting"]}, "`purposes` of the template must be a dictionary of texts"),
    ({"site_bytes": 1.5}, "`site_bytes` of the template must be a whole number, and is 1.5"),
    ({"make": Template.make}, "the template has no method `make`"),
]:
    try:
        type("Generator", (Template,), GOOD_CLASS | changes)
    except TypeError as error:
        assert expected is not None and expected in str(error), (changes, error)
    else:
        assert expected is None, changes


class Whole(Probe):
    """Uses everything that a template has."""

    async def make(self, order):
        progress("copy", 0, 1)
        texts = await ask_all({
            name: Question(
                "copywriting", "Write.", name,
                {"city": order.primary_city, "prices": order.prices},
            )
            for name in ("one", "two", "three")
        })
        chunks = []
        whole = await stream(Question("copywriting", "Write.", "streamed"), chunks.append)
        assert "".join(chunks) == whole.value and len(chunks) > 1, chunks
        warn("no-hours", "the order has no opening hours")
        write_file("index.html", texts["two"].value)
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        reply = await ask(Question("copywriting", "Write.", "json", schema=schema))
        write_file("n.txt", str(reply.value["n"]))


SCRIPT = (
    "[[rule]]\ncontains = [\"two\"]\nanswer = { text = \"second\" }\n"
    "[[rule]]\ncontains = [\"json\"]\nanswer = { from_schema = true }\n"
    "[[rule]]\ntimes = 3\nanswer = { text = \"Fresh bread é since 1990\" }\n"
)
for _ in range(2):
    # Each run starts at the beginning of the script.
    order = sample_order() | {"prices": [{"name": "Rye", "price": "4 €"}]}
    run = Harness.scripted(SCRIPT).run(Whole({}), json.dumps(order)).ok()
    assert run.text("index.html") == "second" and run.text("n.txt").isdigit(), run.files
    assert run.progress == [("copy", 0, 1)] and run.most_calls_at_once == 3, run
    assert [call.reply.call_id for call in run.ai_calls] == [f"call-{n}" for n in range(1, 6)]
    assert run.reports[0].code == "no-hours" and "Campinas" in run.ai_calls[0].prompt, run
    at = run.reports[0].location
    assert at.file.endswith("harness.py") and at.line > 0, at
    # A part of the order is JSON, without what it does not have.
    prompt = run.ai_calls[0].prompt
    assert '"name": "Rye"' in prompt and "duration" not in prompt, prompt
try:
    run.text("missing.html")
    raise SystemExit("a file that was not written has a text")
except AssertionError as error:
    assert "index.html" in str(error), error


class Broken(Probe):
    async def make(self, order):
        await ask(Question("copywriting", "Write.", "x"))
        {}["soup"]


class Empty(Probe):
    async def make(self, order):
        write_file("index.html", None)


class OfPath(Probe):
    async def make(self, order):
        write_file(Path("index.html"), "x")


class OfNumber(Probe):
    async def make(self, order):
        await ask(Question("copywriting", "Write.", 7))


class Timer(Probe):
    async def make(self, order):
        await asyncio.sleep(1)


class Lost(Probe):
    async def make(self, order):
        async def later():
            await asyncio.sleep(0)
            raise Failure("lost", "nobody awaited this")

        asyncio.create_task(later())


MISTAKES = [
    (Broken, KeyError), (Empty, TypeError), (OfPath, TypeError), (OfNumber, TypeError),
    (Timer, NotImplementedError),
]
for template, wanted in MISTAKES:
    try:
        Harness(GOOD).run(template({}), sample_order())
        raise SystemExit(f"{template} made a site")
    except wanted:
        pass
assert Harness(GOOD).run(Lost({}), sample_order()).failure.code == "lost"
Harness(GOOD).run(Probe({}), sample_order()).ok()

# Editors and type checkers believe the package's own types: `py.typed` says that there are some.
assert (ROOT / "python/sitewright/py.typed").is_file()
typed = [sample_order, Failure.__init__, ask, ask_all, progress, stream, warn, write_file]
for member in [testing.Call, testing.Run, testing.Harness]:
    typed += [found.fget if isinstance(found, property) else getattr(found, "__func__", found)
              for name, found in vars(member).items()
              if not name.startswith("_") and (callable(found) or hasattr(found, "__get__"))]
for function in typed:
    signature = inspect.signature(function)
    names = [name for name in signature.parameters if name not in ("self", "cls")]
    assert signature.return_annotation is not signature.empty, function
    assert all(name in function.__annotations__ for name in names), function
print(f"{len(table['cases'])} cases")
