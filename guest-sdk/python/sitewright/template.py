"""The base class of templates."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.generator import AiPurpose, Manifest

from ._interpreter import end_tasks
from .data import set_order
from .failure import Failure
from .order import SCHEMA, Order


class Template(exports.Generator):
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

    async def make(self, order: Order) -> None:
        """Generates the site of an order. Subclasses implement this.

        Tasks that it creates and does not await end before the run does; an exception of one fails
        the run.
        """
        raise NotImplementedError

    def describe(self):
        purposes = [AiPurpose(name, description) for name, description in self.purposes.items()]
        return Manifest(self.name, self.version, self.summary, SCHEMA, purposes, self.locales)

    async def generate(self, order):
        set_order(order)
        try:
            await self.make(Order.read(order))
            await end_tasks()
        except Failure as failure:
            raise Err(failure.record()) from None
