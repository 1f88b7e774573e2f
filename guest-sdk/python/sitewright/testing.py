"""Runs a template in the interpreter of a test: without WebAssembly, host or network.

    from sitewright.testing import Harness, sample_order
    import app

    run = Harness.scripted(script).run(app.Generator, sample_order()).ok()
    assert "Padaria Ana" in run.text("index.html")

A script answers the AI calls, in the TOML format of the host's `scripted` provider. The program
`sitewright` answers the template's calls with the host's own rules: it checks manifest and order,
chooses and validates replies, and accepts or refuses files. It is looked for in the environment
variable `SITEWRIGHT`, which `sitewright template test` sets, and on the PATH.

`python -m sitewright.testing` runs the tests in the folder `tests` with `unittest`, and
`python -m sitewright.testing <arguments>` passes its arguments to `unittest`.

Not checked are limits of memory and time, the language of the order, and the finished site; the
conformance suite does. Tests need Python 3.12; 3.14 is the interpreter of components.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import unittest
from dataclasses import dataclass, field
from typing import Any, Self

from . import _interpreter, _native, failure
from .template import Template

failure.folder = os.getcwd() + "/"

VERSION = "0.1.0"
"""The version of this package, for messages of the program."""

PROGRAM = "SITEWRIGHT"
"""The environment variable with the path of the program `sitewright`."""


@dataclass
class Call:
    """An AI call of a run."""

    request: _native.Request
    reply: _native.Completion | _native.AiError
    """What the template received. An error has `kind`, `message`, `retryable` and `status`."""

    @property
    def prompt(self) -> str:
        """The texts of all messages, joined by empty lines."""
        return "\n\n".join(message.text for message in self.request.messages)

    @property
    def failed(self) -> bool:
        """Whether the reply is an error."""
        return isinstance(self.reply, _native.AiError)


@dataclass
class Run:
    """The result and the side effects of a run."""

    failure: _native.Failure | None = None
    """Why no site was made, as the host gets it: `code`, `message`, `causes`, `location`,
    `ai_calls`, `attributes`. `None` if the run succeeded."""
    files: dict[str, bytes] = field(default_factory=dict)
    """The written files, by path. The host keeps them only if the run succeeds."""
    progress: list[tuple[str, int, int]] = field(default_factory=list)
    """All reports of progress, oldest first: stage, done, total."""
    logs: list[tuple[str, str]] = field(default_factory=list)
    """All log lines, oldest first: level and text."""
    reports: list[_native.Diagnostic] = field(default_factory=list)
    """All diagnostics, oldest first: `severity`, `code`, `message`."""
    ai_calls: list[Call] = field(default_factory=list)
    """All AI calls, in the order in which they were sent."""
    most_calls_at_once: int = 0
    """Maximum number of AI calls that were in flight at the same time."""

    def ok(self) -> Self:
        """The run itself.

        Raises:
            AssertionError: the run failed; the text has code, message and causes.
        """
        if self.failure is not None:
            raise AssertionError(f"the run failed: {_described(self.failure)}")
        return self

    def text(self, path: str) -> str:
        """The content of a file as text.

        Raises:
            AssertionError: the file was not written; the text lists those that were, and says how
                the run ended.
        """
        if path not in self.files:
            ended = _described(self.failure) if self.failure else "a site"
            written = ", ".join(self.files) or "none"
            raise AssertionError(
                f"no file {path!r} was written; written: {written}; the run ended with {ended}"
            )
        return self.files[path].decode()


class Harness:
    """Runs templates with a script that answers their AI calls. Without a script, every AI call
    fails with `no-route`.
    """

    def __init__(self, script: str | None = None) -> None:
        self._script = script

    @classmethod
    def scripted(cls, script: str) -> Self:
        """A harness with a script. If it is wrong, each run fails with the code `bad-script`."""
        return cls(script)

    def run(self, template: Template | type[Template], order: dict[str, Any] | str) -> Run:
        """Runs a template with an order.

        Each run starts at the beginning of the script. An exception of the template that is not a
        `Failure` is raised here, as it is a bug of the template.

        Args:
            template: The class `Generator`, or an object of it.
            order: A document in any shape that the host reads, as a dictionary or as JSON text.
        """
        template = template() if isinstance(template, type) else template
        run = _Running()
        manifest = template.describe()
        begun = run.program.ask(
            op="begin",
            sdk=VERSION,
            manifest={
                "name": manifest.name,
                "version": manifest.version,
                "summary": manifest.summary,
                "order_schema": manifest.order_schema,
                "ai_purposes": [vars(purpose) for purpose in manifest.ai_purposes],
                "locales": list(manifest.locales),
                "order_fields": manifest.order_fields,
                "copy_marks": list(manifest.copy_marks),
                "fallback_locale": manifest.fallback_locale,
                "site_bytes": manifest.site_bytes,
                "external_hosts": list(manifest.external_hosts),
                "exempt_purposes": list(manifest.exempt_purposes),
            },
            order=order if isinstance(order, str) else json.dumps(order),
            script=self._script,
        )
        if refused := begun.get("refused"):
            run.result.failure = _native.Failure(**refused)
            return run.result
        loop = sys.modules["componentize_py_async_support"]._loop
        loop.clear()
        _interpreter._tasks.clear()
        outer, _native.run = _native.run, run
        try:
            loop.run_until_complete(template.generate(begun["order"]))
        except _native.Err as failed:
            run.result.failure = failed.value
        except _native.Stalled:
            run.result.failure = _native.Failure(
                "never-ends",
                "the template waits for something that never happens: no AI call is in flight",
            )
        finally:
            _native.run = outer
        return run.result


def sample_order() -> dict[str, Any]:
    """A small, valid order document for tests to change."""
    return {
        "id": "sample-1",
        "locale": "pt-BR",
        "business_name": "Padaria Ana",
        "business_email": "ana@example.com",
        "business_phone": "+5519955501010",
        "niche": "other",
        "custom_niche": "bakery",
        "primary_city": "Campinas",
        "state": "SP",
        "services": ["Pães", "Bolos"],
        "primary_service": "Pães",
    }


class _Running:
    """The run that is going on. The functions of the contract call it."""

    def __init__(self):
        self.program = _Program.running()
        self.result = Run()
        self.progress = self.result.progress
        self.logs = self.result.logs
        self.reports = self.result.reports
        self._in_flight = 0

    @contextlib.contextmanager
    def call(self, request):
        reply = self._reply(request)
        self.result.ai_calls.append(Call(request, reply))
        self._in_flight += 1
        self.result.most_calls_at_once = max(self.result.most_calls_at_once, self._in_flight)
        try:
            yield reply
        finally:
            self._in_flight -= 1

    def _reply(self, request):
        reply = self.program.ask(op="ask", requests=[request.to_json()])["replies"][0]
        if error := reply.get("error"):
            return _native.AiError(**error | {"kind": _native.Case(error["kind"])})
        done = reply["completion"]
        names = ("content", "call_id", "provider", "model")
        return _native.Completion(*(done[name] for name in names))

    def write(self, path, content):
        self._accepted("write", path, len(content))
        self.result.files[path] = bytes(content)

    def check(self, path, size):
        """Raises what `write` would raise for a file of this size."""
        self._accepted("check", path, size)

    def _accepted(self, op, path, size):
        answer = self.program.ask(op=op, path=path, bytes=size)
        if refused := answer.get("refused"):
            error = _native.WriteError(_native.Case(refused["code"]), refused["message"])
            raise _native.Err(error)


class _Program:
    """The program `sitewright`, which answers. One is started for all runs of the process."""

    _started = None

    @classmethod
    def running(cls):
        if cls._started is None or cls._started._process.poll() is not None:
            cls._started = cls()
        return cls._started

    def __init__(self):
        program = os.environ.get(PROGRAM) or "sitewright"
        try:
            self._process = subprocess.Popen(
                [program, "template", "harness"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
            )
        except OSError as error:
            raise RuntimeError(
                f"cannot run {program!r}, which answers the calls of a template in a test "
                f"({error}); run the tests with `sitewright template test --native`, put "
                f"`sitewright` on the PATH, or set {PROGRAM} to its path"
            ) from None
        atexit.register(self._end)

    def ask(self, **question):
        line = json.dumps(question)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            raise RuntimeError(
                f"`sitewright template harness` has ended (exit code {self._process.wait()}); its "
                "message is above"
            )
        return json.loads(answer)

    def _end(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _described(failure):
    place = failure.location
    at = f" ({place.file}:{place.line})" if place else ""
    causes = "".join(f"\n  because: {cause}" for cause in failure.causes)
    return f"{failure.code}: {failure.message}{at}{causes}"


if __name__ == "__main__":
    arguments = sys.argv[1:] or ["discover", "-s", "tests"]
    unittest.main(module=None, argv=["sitewright.testing", *arguments])
