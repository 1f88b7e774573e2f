"""What a template is."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.generator import AiPurpose, Manifest

from .failure import Failure
from .order import SCHEMA, Order


class Template(exports.Generator):
    """A program that makes sites. The module that is built has a subclass of this with the name `Generator`."""

    name: str
    """Lower-case letters, digits and `-`."""
    version: str
    """Semantic version: `1.4.0`."""
    summary: str
    """One sentence."""
    purposes: dict[str, str] = {}
    """What its AI calls are for: name and description."""
    locales: list[str]
    """The languages it writes in: `pt-BR`, `en`."""

    async def make(self, order: Order):
        """Makes the site of one order. Write this."""
        raise NotImplementedError

    def describe(self):
        purposes = [AiPurpose(name, description) for name, description in self.purposes.items()]
        return Manifest(self.name, self.version, self.summary, SCHEMA, purposes, self.locales)

    async def generate(self, order):
        try:
            await self.make(Order.read(order))
        except Failure as failure:
            raise Err(failure.record()) from None
