"""A template in Python that fails in the way that `extra.fault` of its order selects."""

import asyncio
import importlib
import json
import os
import sys
import traceback

# With the bindings alone, and the parts of the SDK that every template has by its import.
import menu
import sitewright
from componentize_py_types import Err
from sitewright._interpreter import end_tasks
from wit_world import exports
from wit_world.imports import ai, ai_types, diagnostics, site
from wit_world.imports.types import AiPurpose, Failure, Manifest


# The order, whose business the page names.
ORDER = {}


class NoBread(Exception):
    """An exception that the template defines."""


def recurse(depth):
    return recurse(depth + 1) + 1


def hoard():
    blocks = []
    while True:
        blocks.append(bytearray(1 << 20))


def spin():
    # One line, so that it is known at which one it is stopped.
    while True: pass


async def ask(prompt):
    messages = [ai_types.Message(ai_types.Role.USER, [ai_types.Part_Text(prompt)])]
    request = ai_types.Request("copywriting", messages, ai_types.Format_Text(), *[None] * 3, [])
    return await ai.complete(request)


async def inside_a_task():
    await asyncio.sleep(0)
    raise NoBread("no bread in a task")


def write_page():
    page = sitewright.html(t"""<!doctype html><html lang="en"><head><title>Python</title>
<meta name="description" content="{'A page that is whole'}">
<meta name="viewport" content="width=device-width"></head>
<body><h1>A page that is whole</h1>
<address>{ORDER["business_name"]}, {ORDER.get("business_email", "")}</address></body></html>""")
    site.write("index.html", page.encode())


async def fail(fault):
    if fault == "exception":
        menu.price_of({"soup": 4}, "bread")
    elif fault == "own-exception":
        raise NoBread("there is no bread\nand no butter")
    elif fault == "no-message":
        raise NoBread
    elif fault == "cause":
        menu.read_prices("four")
    elif fault == "during":
        menu.read_again("four")
    elif fault == "divide-by-zero":
        print(1 // len([]))
    elif fault == "overflow":
        print(float(10**400))
    elif fault == "stack-overflow":
        recurse(0)
    elif fault == "group":
        async with asyncio.TaskGroup() as group:
            group.create_task(inside_a_task())
    elif fault == "gather":
        await asyncio.gather(inside_a_task(), inside_a_task())
    elif fault == "caught":
        try:
            menu.price_of({}, "soup")
        except KeyError:
            traceback.print_exc()
        raise NoBread("after one that was caught")
    elif fault == "late-import":
        from datetime import datetime

        opened = datetime.strptime("May 2020", "%B %Y")
        assert "Café".encode("cp1252").decode("latin-1") == f"Caf{chr(233)}" and opened.year == 2020
        write_page()
    elif fault == "absent-module":
        importlib.import_module("numpy")
    elif fault == "no-file":
        open("assets/site.css")
    elif fault == "task":
        asyncio.create_task(inside_a_task())
    elif fault == "sleep":
        await asyncio.sleep(1)
    elif fault == "f-string":
        sitewright.html(f"<b>{fault}</b>")
    elif fault == "sdk-failure":
        sitewright.write_file("../x", "")
    elif fault == "abort":
        os.abort()
    elif fault == "exit":
        sys.exit("enough")
    elif fault == "memory-bomb":
        hoard()
    elif fault == "spin":
        spin()
    elif fault == "ai":
        await ask("fail")
    elif fault == "error":
        causes = ["no menu", "no bread"]
        raise Err(Failure("missing-service", "no site was made", causes, None, [], []))
    elif fault == "bad-call":
        diagnostics.progress("fault", -1, 0)
    else:
        write_page()


class Generator(exports.Generator):
    def describe(self):
        calls = [AiPurpose("copywriting", "calls that succeed or fail, as the script says")]
        facts = "pythonic", "0.1.0", "Fails in Python.", '{"type":"object"}', calls, ["en"]
        return Manifest(*facts, None, [], None, None, [], [])

    async def generate(self, order):
        diagnostics.progress("fault", 0, 1)
        ORDER.update(json.loads(order))
        extra = ORDER["extra"]
        if extra.get("after") == "await":
            await ask("anything")
        await fail(extra.get("fault"))
        await end_tasks()
