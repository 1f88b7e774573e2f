"""Generates a Python client of a server's API from the server's own description, and uses it.

    TOKEN=... python api_client.py ORIGIN FOLDER

The client is made by openapi-python-client, in FOLDER. What it got is printed as one JSON object.
"""

import importlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import urllib.request

ORDER = {"id": "24", "business_name": "Flora", "business_email": "hello@flora.example"}


def generate(origin, folder):
    """Makes the package `sitewright_client` in a folder; what the generator said."""
    description = folder / "openapi.json"
    with urllib.request.urlopen(f"{origin}/v1/openapi.json", timeout=30) as answer:
        description.write_bytes(answer.read())
    program = pathlib.Path(sys.executable).parent / "openapi-python-client"
    package = folder / "sitewright_client"
    done = subprocess.run(
        [program, "generate", "--path", description, "--output-path", package, "--meta", "none"],
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    if done.returncode != 0:
        sys.exit(f"no client was generated:\n{said}")
    return said


def main():
    origin, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    said = generate(origin, folder)
    print(said, file=sys.stderr)
    sys.path.insert(0, str(folder))
    package = importlib.import_module("sitewright_client")
    models = importlib.import_module("sitewright_client.models")
    client = package.AuthenticatedClient(base_url=origin, token=os.environ["TOKEN"])

    def call(name, **arguments):
        operation = importlib.import_module(f"sitewright_client.api.orders.{name}")
        answer = operation.sync_detailed(client=client, **arguments)
        return int(answer.status_code), answer.parsed

    body = models.PostOrdersBody.from_dict(ORDER)
    added = call("post_orders", body=body, template="flora", priority=1)
    again = call("post_orders", body=body, template="flora")
    refused = call("post_orders", body=body, template="fauna")

    followed = []
    follow = threading.Thread(
        target=lambda: followed.append(call("get_orders_id_events", id="24")), daemon=True
    )
    follow.start()
    shown = call("get_orders_id", id="24")
    listed = call("get_orders", state="queued", template="flora", limit=10)
    cancelled = call("post_orders_id_cancel", id="24")
    follow.join(60)

    print(
        json.dumps(
            {
                "added": [added[0], added[1].order, added[1].outcome, added[1].state],
                "again": [again[0], again[1].outcome],
                "refused": [refused[0], refused[1].kind],
                "shown": [shown[1].order.state, shown[1].order.priority],
                "listed": [order.id for order in listed[1].orders],
                "cancelled": [cancelled[1].outcome, cancelled[1].state],
                "followed": "event: end" in followed[0][1] and "cancelled" in followed[0][1],
                # It says which answers it cannot read, and leaves them out.
                "orders_complete": "within orders" not in said,
            }
        )
    )


main()
