"""An application of FastAPI that hands its orders to Celery, with which the benchmark of the server
compares what a server accepts.

    BROKER=redis://127.0.0.1:6379/0 python -m uvicorn celery_accept:app

No worker of Celery runs: only `delay` is measured.
"""

import os

from celery import Celery
from fastapi import FastAPI

queue = Celery("orders", broker=os.environ["BROKER"])
queue.conf.task_ignore_result = True
app = FastAPI()


@queue.task
def make_site(order):
    raise NotImplementedError


@app.post("/orders", status_code=202)
def add(order: dict):
    return {"task": make_site.delay(order).id}
