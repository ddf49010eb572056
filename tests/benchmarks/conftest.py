"""A bundle that is only a manifest, and a worker whose session is not a network but a given behaviour."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def imports_are_frozen():
    """A scenario collects garbage first; without all that was imported, that takes no time."""
    gc.collect()
    gc.freeze()


WORKER = """
import os, pathlib, signal, sys, time
from edgevid.host import environment
from edgevid.benchmarks.harness import warmup
from edgevid.benchmarks.harness import worker
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BundleError
from edgevid.specs import Manifest, Parity, Preprocessing, Weights
from edgevid.targets import TARGETS

BEHAVIOUR = {behaviour!r}
# What has nothing to warm up need not be waited for.
warmup.WINDOW_NS = 20_000_000
environment.BUSY_WINDOW_S = 0.01


class Session:
    backend, threads, step_includes = "onnxruntime", 1, ("inference",)
    manifest = Manifest(
        model="fake", target=BEHAVIOUR.get("target", "cpu"), precision="fp32", frames=8, classes=2,
        backend=BEHAVIOUR.get("backend", "onnxruntime"), streaming=BEHAVIOUR.get("streaming", False),
        inputs=(), outputs=(), states=(),
        preprocessing=Preprocessing(), weights=Weights("seed 0", 1, 2 * 1024 * 1024), macs=1,
        parity=Parity(0, 0, 1), artefacts=(),
    )

    target = TARGETS.get(manifest.target)

    def __init__(self, path, threads, shares_cores=False):
        self.bundle = Bundle(pathlib.Path(path), self.manifest)
        self.threads = threads or 1

    def prepare(self, array=None):
        count = 0

        def step():
            nonlocal count
            count += 1
            time.sleep(0.001)
            if count == 20:
                if "signal" in BEHAVIOUR:
                    os.kill(os.getpid(), BEHAVIOUR["signal"])
                if "hang" in BEHAVIOUR:
                    time.sleep(600)
                if "bug" in BEHAVIOUR:
                    raise RuntimeError("a bug")
        return step


def open_session(path, threads=None, shares_cores=False):
    pathlib.Path(path, "pid").write_text(str(os.getpid()))
    if "refuses" in BEHAVIOUR:
        raise BundleError("the bundle is cut short: export it again")
    if "chatty" in BEHAVIOUR:
        print("a library says hello")
    return Session(path, threads, shares_cores)


sys.exit(worker.main(open_session))
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "fake.cpu"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"model": "fake", "target": "cpu"}')
    return folder


@pytest.fixture
def worker_that(tmp_path: Path):
    """``worker_that(hang=True)``: the command of a worker whose fake session behaves so."""

    def command(**behavior: object) -> tuple[str, ...]:
        script = tmp_path / "fake_worker.py"
        script.write_text(WORKER.replace("{behaviour!r}", repr(behavior)))
        return (sys.executable, str(script))

    return command
