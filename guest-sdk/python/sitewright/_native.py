"""The functions of the contract outside of a component, for `sitewright.testing`.

A component has modules with the bindings of the contract and an event loop of its own. Here are
their replacements, under the same names. They have no rules: the program `sitewright` answers.
"""

import asyncio
import contextlib
import enum
import sys
import types
from dataclasses import dataclass, field
from typing import Any

from . import _template_strings

OUTSIDE = "this is outside of a run: use sitewright.testing.Harness"


@dataclass
class Ok:
    value: Any


@dataclass
class Err(Exception):
    value: Any


@dataclass
class Record:
    """A record of the contract."""


@dataclass
class SourceLocation(Record):
    file: str
    line: int
    column: int | None


@dataclass
class Attribute(Record):
    name: str
    value: str


class Role(enum.Enum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass
class Data(Record):
    name: str
    text: str


@dataclass
class PartText(Record):
    value: str

    @property
    def text(self):
        return self.value

    def to_json(self):
        return {"text": self.value}


@dataclass
class PartData(Record):
    value: Data

    @property
    def text(self):
        return self.value.text

    def to_json(self):
        return {"data": vars(self.value)}


@dataclass
class Message(Record):
    role: Role
    content: list[PartText | PartData]

    @property
    def text(self):
        """The texts of its parts. For the model, the host delimits those of data."""
        return "\n\n".join(part.text for part in self.content)


@dataclass
class FormatText(Record):
    def to_json(self):
        return "text"


@dataclass
class FormatJson(Record):
    def to_json(self):
        return "json"


@dataclass
class FormatJsonSchema(Record):
    value: str

    def to_json(self):
        return {"json-schema": self.value}


@dataclass
class Request(Record):
    purpose: str
    messages: list[Message]
    format: Any
    max_output_tokens: int | None
    temperature: float | None
    seed: int | None
    stop: list[str]

    def to_json(self):
        return {
            "purpose": self.purpose,
            "messages": [
                {
                    "role": message.role.value,
                    "content": [part.to_json() for part in message.content],
                }
                for message in self.messages
            ],
            "format": self.format.to_json(),
            "max_output_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stop": self.stop,
        }


@dataclass
class Completion(Record):
    content: str
    call_id: str
    provider: str
    model: str


@dataclass
class Case:
    """A case of an enum. The program knows which there are, by their names in the contract."""

    contract_name: str

    @property
    def name(self):
        return self.contract_name.upper().replace("-", "_")


@dataclass
class AiError(Record):
    kind: Case
    message: str
    attempts: int
    call_id: str
    retryable: bool
    status: int | None = None


@dataclass
class WriteError(Record):
    kind: Case
    message: str


class Severity(enum.Enum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Level(enum.Enum):
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@dataclass
class Diagnostic(Record):
    severity: Severity
    code: str
    message: str
    causes: list[str]
    location: SourceLocation | None
    attributes: list[Attribute]


@dataclass
class AiPurpose(Record):
    name: str
    description: str


@dataclass
class Manifest(Record):
    name: str
    version: str
    summary: str
    order_schema: str
    ai_purposes: list[AiPurpose]
    locales: list[str]
    order_fields: list[str] | None
    copy_marks: list[str]
    fallback_locale: str | None
    site_bytes: int | None
    external_hosts: list[str]
    exempt_purposes: list[str]


@dataclass
class Failure(Record):
    code: str
    message: str
    causes: list[str] = field(default_factory=list)
    location: SourceLocation | None = None
    ai_calls: list[str] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)


class Generator:
    """The base class of what a component exports."""


class Stalled(Exception):
    """The template waits for something that never happens."""


class Loop(asyncio.BaseEventLoop):
    """A loop without timers and input: what is ready runs, and if nothing is, the run stalls."""

    def _run_once(self):
        if not self._ready:
            raise Stalled
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        pass

    def __del__(self, _warn=None):
        pass

    def clear(self):
        """Forgets what an earlier run left."""
        self._ready.clear()


# The run that is going on; `sitewright.testing` sets it.
run = None


def _run():
    if run is None:
        raise RuntimeError(OUTSIDE)
    return run


async def complete(request):
    with _run().call(request) as reply:
        # Other calls begin meanwhile, as during a real one.
        await asyncio.sleep(0)
    if isinstance(reply, AiError):
        raise Err(reply)
    return reply


# Bytes of a chunk of a streamed reply: tests meet words and lines that are split.
_CHUNK_BYTES = 7


class _Chunks:
    def __init__(self, call, text):
        self._call = call
        self._chunks = list(_chunks(text))

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._chunks = []
        self._call.close()

    @property
    def writer_dropped(self):
        return not self._chunks

    async def read(self, count):
        await asyncio.sleep(0)
        # One at a time: a template must not rely on how many there are.
        found, self._chunks = self._chunks[:1], self._chunks[1:]
        return found


def _chunks(text):
    chunk = ""
    for character in text:
        if len((chunk + character).encode()) > _CHUNK_BYTES:
            yield chunk
            chunk = ""
        chunk += character
    if chunk:
        yield chunk


class _Outcome:
    def __init__(self, reply):
        self._reply = reply

    async def read(self):
        await asyncio.sleep(0)
        return Err(self._reply) if isinstance(self._reply, AiError) else Ok(self._reply)


def complete_stream(request):
    call = contextlib.ExitStack()
    reply = call.enter_context(_run().call(request))
    text = "" if isinstance(reply, AiError) else reply.content
    return _Chunks(call, text), _Outcome(reply)


class Writer:
    """A file that is written in chunks. The program accepts or refuses each, as the host does."""

    def __init__(self, path):
        _run().check(path, 0)
        self._path = path
        self._content = bytearray()

    create = classmethod(lambda cls, path: cls(path))

    def append(self, content):
        _run().check(self._path, len(self._content) + len(content))
        self._content += content

    @classmethod
    def finish(cls, writer):
        _run().write(writer._path, writer._content)

    def __exit__(self, *_error):
        self._content = bytearray()


def _module(name, **members):
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module
    return module


def install():
    """Puts the replacements where a component has its modules."""
    _template_strings.install()
    types_module = _module(
        "wit_world.imports.types",
        SourceLocation=SourceLocation, Attribute=Attribute,
        AiPurpose=AiPurpose, Manifest=Manifest, Failure=Failure,
    )  # fmt: skip
    ai_types = _module(
        "wit_world.imports.ai_types",
        Role=Role, Message=Message, Request=Request, Completion=Completion, Error=AiError,
        Data=Data, Part_Text=PartText, Part_Data=PartData,
        Format_Text=FormatText, Format_Json=FormatJson, Format_JsonSchema=FormatJsonSchema,
    )  # fmt: skip
    ai = _module("wit_world.imports.ai", complete=complete, complete_stream=complete_stream)
    diagnostics = _module(
        "wit_world.imports.diagnostics",
        Severity=Severity, Level=Level, Diagnostic=Diagnostic,
        report=lambda diagnostic: _run().reports.append(diagnostic),
        progress=lambda stage, done, total: _run().progress.append((stage, done, total)),
        log=lambda level, message: _run().logs.append((level.value, message)),
    )  # fmt: skip
    site = _module(
        "wit_world.imports.site",
        write=lambda path, content: _run().write(path, content),
        exists=lambda path: path in _run().result.files,
        Writer=Writer,
    )
    imports = _module(
        "wit_world.imports",
        types=types_module, ai_types=ai_types, ai=ai, diagnostics=diagnostics, site=site,
    )  # fmt: skip
    exports = _module("wit_world.exports", Generator=Generator)
    _module("wit_world", imports=imports, exports=exports)
    _module("componentize_py_types", Ok=Ok, Err=Err)
    _module(
        "componentize_py_async_support",
        _loop=Loop(),
        _poll=lambda state: None,
        callback=lambda: None,
    )
