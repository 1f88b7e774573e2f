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

    async def make(self, order: Order) -> None:
        """Generates the site of an order. Subclasses implement this.

        Tasks that it creates and does not await end before the run does; an exception of one fails
        the run.
        """
        raise NotImplementedError

    def describe(self):
        purposes = [AiPurpose(name, description) for name, description in self.purposes.items()]
        return Manifest(
            name=self.name,
            version=self.version,
            summary=self.summary,
            order_schema=SCHEMA,
            ai_purposes=purposes,
            locales=self.locales,
            order_fields=self.order_fields,
            copy_marks=self.copy_marks,
            fallback_locale=self.fallback_locale,
            site_bytes=self.site_bytes,
            external_hosts=self.external_hosts,
            exempt_purposes=self.exempt_purposes,
        )

    async def generate(self, order):
        try:
            await self.make(Order.read(order))
            await end_tasks()
        except Failure as failure:
            raise Err(failure.record()) from None
