"""A template in Python that fails in the way that `extra.fault` of its order selects."""

import asyncio
import json
import os
import sys
import traceback

import menu
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.generator import AiPurpose, Failure, Manifest
from wit_world.imports import ai, ai_types, diagnostics, site


class NoBread(Exception):
    """An exception that the template defines."""


def recurse(depth):
    return recurse(depth + 1) + 1


def hoard():
    blocks = []
    while True:
        blocks.append(bytearray(1 << 20))


def spin():
    while True:
        pass


async def ask(prompt):
    messages = [ai_types.Message(ai_types.Role.USER, prompt)]
    request = ai_types.Request("copywriting", messages, ai_types.Format_Text(), *[None] * 3, [])
    return await ai.complete(request)


async def inside_a_task():
    await asyncio.sleep(0)
    raise NoBread("no bread in a task")


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
        page = "<!doctype html><html lang=en><title>Python</title><p>Whole.</p></html>"
        site.write("index.html", page.encode())


class Generator(exports.Generator):
    def describe(self):
        calls = [AiPurpose("copywriting", "calls that succeed or fail, as the script says")]
        return Manifest("pythonic", "0.1.0", "Fails in Python.", '{"type":"object"}', calls, ["en"])

    async def generate(self, order):
        diagnostics.progress("fault", 0, 1)
        await fail(json.loads(order)["extra"].get("fault"))
