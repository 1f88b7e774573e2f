"""AI calls."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from componentize_py_types import Err, Ok
from wit_world.imports import ai, ai_types

from .failure import Failure
from .site import is_text


@dataclass
class Question:
    """A request to a model."""

    purpose: str
    """One of the template's `purposes`. The operator's routes map it to a model."""
    system: str
    """The system message: the template's instructions, never order data."""
    user: str
    """The user message: the request, without order data."""
    data: dict[str, Any] = field(default_factory=dict)
    """Order data by name. It follows the user message, and the host delimits it as untrusted
    input. What is not text becomes JSON, parts of the order such as `order.prices` too."""
    schema: dict | None = None
    """JSON Schema (draft 2020-12, at most 64 KiB as text) of the reply. With a schema, the reply's
    value is parsed JSON that the host has validated; without one, it is text."""
    temperature: float | None = None
    """Sampling temperature, 0.0 to 2.0. Default: the model's."""
    max_output_tokens: int | None = None
    """Maximum length of the reply, in tokens. Default: the limit of the route."""


@dataclass
class Reply:
    """A complete, validated reply."""

    value: Any
    """Parsed JSON if the question has a schema, otherwise text."""
    call_id: str
    """The host's id of the call, for `Failure(ai_calls=...)` if the reply is unusable."""


async def ask(question: Question) -> Reply:
    """Sends a request and waits for the complete, validated reply.

    Run several concurrently with `asyncio.gather` or `ask_all`.

    Raises:
        Failure: the call failed. The failure blames the call.
    """
    try:
        completion = await ai.complete(_request(question))
    except Err as failed:
        raise _failure(failed.value) from None
    return _reply(question, completion)


async def stream(question: Question, on_chunk: Callable[[str], Any]) -> Reply:
    """Sends a request and calls `on_chunk` with each chunk of text while the model writes it.

    The chunks are not validated; the returned reply is complete and validated. After the first
    chunk the host cannot retry or fall back to another model, so use `ask` unless partial text is
    of use.

    Raises:
        Failure: the call failed, perhaps after the first chunks. The failure blames the call.
    """
    chunks, outcome = ai.complete_stream(_request(question))
    with chunks:
        while not chunks.writer_dropped:
            for chunk in await chunks.read(64):
                on_chunk(chunk)
    match await outcome.read():
        case Ok(completion):
            return _reply(question, completion)
        case Err(error):
            raise _failure(error)


async def ask_all(questions: dict[str, Question]) -> dict[str, Reply]:
    """Sends several requests concurrently and waits for all replies.

    Raises:
        Failure: at least one call failed. The failure blames all failed calls.
    """
    replies = await asyncio.gather(*map(ask, questions.values()), return_exceptions=True)
    failed = [reply for reply in replies if isinstance(reply, BaseException)]
    for error in failed:
        if not isinstance(error, Failure):
            raise error
    if failed:
        blamed = [call for failure in failed for call in failure.ai_calls]
        raise Failure(failed[0].code, str(failed[0]), ai_calls=blamed)
    return dict(zip(questions, replies))


def _reply(question, completion):
    is_json = question.schema is not None
    value = json.loads(completion.content) if is_json else completion.content
    return Reply(value, completion.call_id)


def _failure(error):
    kind = error.kind.name.lower().replace("_", "-")
    return Failure(f"ai-{kind}", error.message, ai_calls=[error.call_id])


def _request(question):
    for name in ("purpose", "system", "user"):
        is_text(f"`{name}` of a question", getattr(question, name))
    data = [ai_types.Part_Data(ai_types.Data(*item)) for item in _texts(question.data)]
    system = [ai_types.Part_Text(question.system)]
    user = [ai_types.Part_Text(question.user), *data]
    schema = question.schema
    text = schema is None
    return ai_types.Request(
        purpose=question.purpose,
        messages=[
            ai_types.Message(ai_types.Role.SYSTEM, system),
            ai_types.Message(ai_types.Role.USER, user),
        ],
        format=ai_types.Format_Text() if text else ai_types.Format_JsonSchema(json.dumps(schema)),
        max_output_tokens=question.max_output_tokens,
        temperature=question.temperature,
        seed=None,
        stop=[],
    )


def _texts(data):
    for name, value in data.items():
        is_text("a name in `data` of a question", name)
        if not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False, indent=2, default=_fields)
        yield name, value


def _fields(value):
    """The fields of a part of the order that are there."""
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} is not JSON: give a text, a list or a dictionary")
    return {name: item for name, item in vars(value).items() if item not in (None, [], {})}
