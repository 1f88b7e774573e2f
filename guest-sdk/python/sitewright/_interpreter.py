"""What the interpreter of a component lacks.

- An exception after an `await` is printed, as one before it is.
- Tasks that nobody awaited end before the run does, and their exceptions fail it.
- Timers, threads and sockets say that a template has none.
- Modules that the standard library imports late are imported now: at run time there are no files
  to import them from.
"""

import asyncio
import contextlib
import importlib
import os
import sys

import componentize_py_async_support as support

from .failure import location

# Of the usual library: what functions of it import only when they are called, and what templates
# import in functions of their own.
_LATE = (
    "_strptime", "base64", "bisect", "calendar", "collections.abc", "colorsys", "copy", "csv",
    "datetime", "decimal", "enum", "functools", "hashlib", "heapq", "html", "html.entities", "io",
    "itertools", "json", "linecache", "locale", "math", "operator", "random", "re", "string",
    "string.templatelib", "struct", "textwrap", "time", "traceback", "types", "typing",
    "unicodedata", "urllib.parse", "uuid", "warnings", "zlib",
)  # fmt: skip
_ENCODINGS = (
    "ascii", "cp1250", "cp1251", "cp1252", "idna", "iso8859_1", "iso8859_15", "iso8859_2",
    "latin_1", "mac_roman", "punycode", "raw_unicode_escape", "unicode_escape", "utf_16",
    "utf_16_be", "utf_16_le", "utf_32", "utf_8", "utf_8_sig",
)  # fmt: skip
for _name in (*_LATE, *(f"encodings.{name}" for name in _ENCODINGS)):
    # The interpreter of a later componentize-py may not have one.
    with contextlib.suppress(ImportError):
        importlib.import_module(_name)


def _report_exceptions(poll):
    """`poll`, with a report of its exception where the caller makes none."""

    def poll_and_report(state):
        try:
            return poll(state)
        except SystemExit as error:
            _exit(error)
        except BaseException as error:
            # The caller of the first poll prints the exception itself. The caller of `callback`,
            # after an `await`, panics with a text in which its causes and lines are lost.
            if sys._getframe(1).f_code is support.callback.__code__:
                _print(error)
            raise

    return poll_and_report


def _exit(error):
    """Ends the program as the interpreter does, and prints what called for it: the host shows the
    last line.
    """
    place = location(error)
    at = f" at {place.file}:{place.line}" if place else ""
    code = "" if error.code is None else repr(error.code)
    print(
        f"`sys.exit({code})` was called{at}: raise a `Failure` to refuse an order, or return",
        file=sys.stderr,
    )
    sys.stderr.flush()
    os._exit(error.code if isinstance(error.code, int) else int(error.code is not None))


def _print(error):
    sys.__excepthook__(type(error), error, error.__traceback__)
    sys.stderr.flush()


support._poll = _report_exceptions(support._poll)

_tasks: list[asyncio.Task] = []


def _create_task(coroutine, **options):
    task = type(support._loop).create_task(support._loop, coroutine, **options)
    _tasks.append(task)
    return task


support._loop.create_task = _create_task


async def end_tasks():
    """Waits for the tasks that were created and not awaited, and raises the first exception that
    nobody has seen.
    """
    own = asyncio.current_task()
    while pending := [task for task in _tasks if task is not own and not task.done()]:
        await asyncio.wait(pending)
    for task in _tasks:
        # Set until `exception` or `result` was called.
        if task.done() and not task.cancelled() and task._log_traceback:
            raise task.exception()


def _lacking(what):
    def refuse(*_arguments, **_options):
        raise NotImplementedError(what)

    return refuse


_NO_TIMERS = _lacking(
    "templates have no timers: `asyncio.sleep` of more than 0 seconds, `asyncio.timeout` and "
    "`asyncio.wait_for` with a timeout do not work; the operator's routes and the run have time "
    "limits of their own"
)
_NO_THREADS = _lacking(
    "templates have one thread: call the function directly, without `asyncio.to_thread` or an "
    "executor"
)
_NO_NETWORK = _lacking(
    "templates have no network: ask models with `ask`, and read files when the template is built"
)
for _name in ("call_later", "call_at", "time"):
    setattr(support._loop, _name, _NO_TIMERS)
for _name in ("run_in_executor", "call_soon_threadsafe"):
    setattr(support._loop, _name, _NO_THREADS)
for _name in ("getaddrinfo", "create_connection", "create_datagram_endpoint", "create_server"):
    setattr(support._loop, _name, _NO_NETWORK)
