"""Makes the mistakes of mistakes.json: `python mistakes.py`. Each is told with its file and line.

The line of a mistake ends with `# ` and its id. SITEWRIGHT is the path of the program.
"""

import asyncio
import contextlib
import io
import json
import sys
import traceback
import warnings
from pathlib import Path

ROOT = Path(__file__).parent.parent
# In place of this folder: its `html.py` is not that of the standard library.
sys.path[0] = str(ROOT / "python")

from sitewright import Failure, Question, Template, ask, html, write_file
from sitewright.testing import Harness, sample_order

table = json.loads((ROOT / "mistakes.json").read_text("utf-8"))
lines = Path(__file__).read_text("utf-8").splitlines()
SCRIPT = """
[[rule]]
contains = ["fail"]
answer = { fault = { status = 401 } }
[[rule]]
contains = ["misfit"]
answer = { json = { other = 1 } }
[[rule]]
answer = { from_schema = true }
"""
SCHEMA = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}


def question(user="A line.", purpose="copywriting", schema=SCHEMA):
    return Question(purpose, system="Write.", user=user, schema=schema)


class Mistakes:
    def missing_value(order):
        return order.about_owner.upper()  # missing-value

    def missing_entry(order):
        return order.services[9]  # missing-entry

    def misspelt(order):
        return order.company_name  # misspelt

    async def after_a_call(order):
        await ask(question())
        raise ValueError("no price")  # after-a-call

    async def lost_task(order):
        async def later():
            await asyncio.sleep(0)
            raise ValueError("nobody awaits this")  # lost-task

        asyncio.create_task(later())

    async def no_await(order):
        reply = ask(question())
        return reply.value["text"]  # no-await

    async def failed_call(order):
        await ask(question("fail"))  # failed-call

    async def undeclared_purpose(order):
        await ask(question(purpose="coding"))  # undeclared-purpose

    async def misfit(order):
        await ask(question("misfit"))  # misfit

    async def wrong_schema(order):
        await ask(question(schema={"type": "text"}))  # wrong-schema

    def wrong_path(order):
        write_file("../about.html", "x")  # wrong-path

    def written_twice(order):
        write_file("about.html", "x")
        write_file("about.html", "x")  # written-twice

    def not_escaped(order):
        html(f"<p>{order.business_name}</p>")  # not-escaped

    def no_quotes(order):
        # A t-string, which Python before 3.14 cannot read in this file.
        html(template("<p class=", order.business_name, ">x</p>"))  # no-quotes

    async def timer(order):
        await asyncio.sleep(1)  # timer

    def recursion(order):
        return Mistakes.recursion(order) + 1  # recursion

    def own_failure(order):
        raise Failure("no-hours", "the order has no opening hours")  # own-failure


def template(begin, value, end):
    from string.templatelib import Interpolation
    from string.templatelib import Template as Text

    return Text(begin, Interpolation(value, "value", None, ""), end)


class Generator(Template):
    name = "mistakes"
    version = "0.1.0"
    summary = "What authors do."
    purposes = {"copywriting": "the text"}
    locales = ["en"]

    def __init__(self, make):
        self.mistake = make

    async def make(self, order):
        made = self.mistake(order)
        if asyncio.iscoroutine(made):
            await made


def told(make):
    """What the author of a test sees: the text, and the innermost line of this file."""
    try:
        run = Harness(SCRIPT).run(Generator(make), sample_order() | {"locale": "en"})
    except Exception as error:
        steps = traceback.extract_tb(error.__traceback__)
        own = [step for step in steps if step.filename == __file__]
        return f"{type(error).__name__}: {error}", Path(__file__).name, own[-1].lineno
    assert run.failure is not None, make
    place = run.failure.location
    try:
        run.ok()
    except AssertionError as error:
        assert f"{place.file}:{place.line}" in str(error), error
        return str(error), Path(place.file).name, place.line


warnings.simplefilter("ignore")
for case in table["cases"]:
    name, expected = case["id"], case["python"]
    if expected is None:
        continue
    with contextlib.redirect_stderr(io.StringIO()):
        text, file, line = told(getattr(Mistakes, name.replace("-", "_")))
    assert expected in text, (name, text)
    assert file == Path(__file__).name, (name, file)
    assert lines[line - 1].endswith(f"# {name}"), (name, line, lines[line - 1])

Generator.name = "Green Gate"
failure = Harness(SCRIPT).run(Generator(Mistakes.misspelt), sample_order()).failure
assert table["manifest"] in failure.message, failure
print(f"{len(table['cases'])} cases")
