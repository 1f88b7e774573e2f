"""The base class of templates."""

from typing import TYPE_CHECKING

from componentize_py_types import Err
from wit_world.imports.types import AiPurpose, Manifest

from ._interpreter import end_tasks
from .failure import Failure
from .order import SCHEMA, Order

if TYPE_CHECKING:
    # The bindings are made when a component is built: a checker of types does not find them, and
    # would check nothing in a class below one that it does not know.
    class Generator: ...
else:
    from wit_world.exports import Generator


def _is_text(value):
    return isinstance(value, str)


def _are_texts(value):
    return isinstance(value, list | tuple) and all(map(_is_text, value))


def _are_named(value):
    return isinstance(value, dict) and _are_texts([*value, *value.values()])


def _is_size(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


# The attributes of a manifest: what each must be, whether it is, and whether it must be there.
_FIELDS = {
    "name": ("a text", _is_text, True),
    "version": ("a text", _is_text, True),
    "summary": ("a text", _is_text, True),
    "purposes": ("a dictionary of texts", _are_named, False),
    "locales": ("a list of texts", _are_texts, True),
    "order_fields": ("a list of texts", _are_texts, False),
    "copy_marks": ("a list of texts", _are_texts, False),
    "fallback_locale": ("a text", _is_text, False),
    "site_bytes": ("a whole number", _is_size, False),
    "external_hosts": ("a list of texts", _are_texts, False),
    "exempt_purposes": ("a list of texts", _are_texts, False),
}


def _check(template, is_whole):
    """Checks the types of a manifest, in a class or an object of it. The host checks more.

    Raises:
        TypeError: names the attribute, and what it must be.
    """
    for field, (expected, fits, is_needed) in _FIELDS.items():
        value = getattr(template, field, None)
        if value is None:
            if is_needed and is_whole:
                raise TypeError(f"the template has no `{field}`, which must be {expected}")
        # The value of a property is known of an object alone.
        elif not hasattr(value, "__get__") and not fits(value):
            # The whole value may be long.
            found = f"{repr(value):.80}"
            raise TypeError(f"`{field}` of the template must be {expected}, and is {found}")


class Template(Generator):
    """A site template. The module that is built must have a subclass with the name `Generator`."""

    name: str
    """Name of the template: lower-case letters, digits and `-`, beginning with a letter, at most 64
    bytes.
    """
    version: str
    """Semantic version of the template: `1.4.0`."""
    summary: str
    """What the template generates, in one sentence of at most 1,000 bytes."""
    purposes: dict[str, str] = {}
    """The purposes of AI calls, at most 64: name and description. Names have lower-case letters,
    digits and `-`.
    """
    locales: list[str]
    """The languages in which the template can write, as BCP 47 tags: `pt-BR`, `en`. Not empty."""
    order_fields: list[str] | None = None
    """The fields of the order that the template uses, by name, for operators and forms; `None` if it
    does not say. The template gets all fields anyway.
    """
    copy_marks: list[str] = []
    """Texts of the template's own prompts and layouts that no visitor may read, at most 64, each of
    2 to 100 bytes. The host rejects an AI reply, and a page, that shows one.
    """
    fallback_locale: str | None = None
    """One of `locales`, for orders in another language where the operator allows that and names
    none that the template writes.
    """
    site_bytes: int | None = None
    """The bytes that a site is expected to have at most. A larger one is published with a warning."""
    external_hosts: list[str] = []
    """The hosts, by name, that pages load from: `fonts.example.com`. At most 64. Pages that load
    from others are published with a warning, because each host learns of every visitor. Addresses
    that the order names need no declaration.
    """
    exempt_purposes: list[str] = []
    """The purposes whose replies are not texts for visitors, such as code: the host does not check
    them as copy. Pages are checked whatever they are made of.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # At once, so that the traceback has the author's line. An object may complete its class.
        is_whole = cls.__name__ == "Generator" and "__init__" not in vars(cls)
        _check(cls, is_whole)
        if is_whole and cls.make is Template.make:
            raise TypeError("the template has no method `make`, which makes the site of an order")

    async def make(self, order: Order) -> None:
        """Generates the site of an order. Subclasses implement this.

        Tasks that it creates and does not await end before the run does; an exception of one fails
        the run.
        """
        raise NotImplementedError

    def describe(self):
        _check(self, True)
        purposes = [AiPurpose(name, description) for name, description in self.purposes.items()]
        return Manifest(
            name=self.name,
            version=self.version,
            summary=self.summary,
            order_schema=SCHEMA,
            ai_purposes=purposes,
            locales=list(self.locales),
            order_fields=None if self.order_fields is None else list(self.order_fields),
            copy_marks=list(self.copy_marks),
            fallback_locale=self.fallback_locale,
            site_bytes=self.site_bytes,
            external_hosts=list(self.external_hosts),
            exempt_purposes=list(self.exempt_purposes),
        )

    async def generate(self, order):
        try:
            await self.make(Order.read(order))
            await end_tasks()
        except Failure as failure:
            raise Err(failure.record()) from None
