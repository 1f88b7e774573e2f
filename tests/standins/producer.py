"""Enqueues an order from another program, in that program's own transaction.

usage: producer.py ADDRESS commit|rollback|plain ORDER TEMPLATE < document.json

`commit` and `rollback` use River's Python client; `plain` inserts only the order's row.
"""

import json
import sys
from dataclasses import dataclass

import riverqueue
import sqlalchemy
from riverqueue.driver import riversqlalchemy

ORDER = sqlalchemy.text(
    "INSERT INTO sitewright_orders (id, document, template) VALUES (:id, :document, :template)"
)


@dataclass
class SitewrightOrder:
    """A job has only the id of its order; the rest is in the order's row."""

    order: str
    kind: str = "sitewright_order"

    def to_json(self) -> str:
        return json.dumps({"order": self.order})


def main() -> None:
    address, how, order, template = sys.argv[1:]
    engine = sqlalchemy.create_engine(address)
    client = riverqueue.Client(riversqlalchemy.Driver(engine))
    with engine.connect() as connection:
        values = {"id": order, "document": sys.stdin.read(), "template": template}
        connection.execute(ORDER, values)
        if how != "plain":
            client.insert_tx(connection, SitewrightOrder(order))
        if how == "rollback":
            connection.rollback()
        else:
            connection.commit()


main()
