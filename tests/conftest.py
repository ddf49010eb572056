"""What the tests share: official reference passes, and small bundles that are exported once."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

DATA = Path(__file__).parent / "data"
SIZE, FRAMES = 64, 4


def pytest_collection_modifyitems(items):
    """Tests that export a network are slow; let a run of several workers begin with them."""
    items.sort(key=lambda item: "bundle" not in "".join(item.fixturenames))


def reference(case: str) -> SimpleNamespace:
    """A forward pass of an official implementation: its state dict, its clip, and its logits if they are known.

    Weights are a function of each tensor's name and shape, and the clip of a seed, so only keys and logits are
    stored (tests/data/README.md).
    """
    import torch

    meta = json.loads((DATA / f"{case}.json").read_text())
    state = {name: _fill(name, tuple(shape)) for name, shape in meta["keys"].items()}
    shape = meta["input_shape"]
    values = np.random.Generator(np.random.PCG64(meta["input_seed"])).normal(0, 1, shape).astype(np.float32)
    clip = torch.from_numpy(values).reshape(1, -1, 3, *shape[-2:])
    logits = np.array(meta["logits"]) if "logits" in meta else None
    return SimpleNamespace(state=state, clip=clip, logits=logits)


def _fill(name: str, shape: tuple[int, ...]):
    import torch

    random = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.long)
    if name.endswith("running_var"):
        values = random.uniform(0.5, 1.5, shape)
    elif name.endswith(("running_mean", "bias")):
        values = random.normal(0, 0.1, shape)
    elif len(shape) == 1:
        values = random.uniform(0.5, 1.5, shape)
    else:
        values = random.normal(0, 1.2 * (1 / np.prod(shape[1:])) ** 0.5, shape)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def export_small(model: str, output: Path, **options):
    import edgevid

    options = {"classes": 5, "frames": FRAMES, "size": SIZE, **options}
    return edgevid.export(model, output=output, **options)


@pytest.fixture(scope="session")
def clip_bundle(tmp_path_factory):
    """``tsm_mbv2`` for 4 frames of 64x64 and 5 classes, for the CPU."""
    return export_small("tsm_mbv2", tmp_path_factory.mktemp("clip") / "tsm_mbv2")


@pytest.fixture(scope="session")
def stream_bundle(tmp_path_factory):
    """``tsm_mbv2_online`` of the same sizes, one frame at a time."""
    return export_small("tsm_mbv2_online", tmp_path_factory.mktemp("stream") / "online", stream=True)


@pytest.fixture(scope="session")
def jetson_bundle(tmp_path_factory):
    return export_small("tsm_mbv2", tmp_path_factory.mktemp("jetson") / "jetson", target="jetson")


@pytest.fixture(scope="session")
def jetson_stream_bundle(tmp_path_factory):
    output = tmp_path_factory.mktemp("jetson") / "stream"
    return export_small("tsm_mbv2_online", output, target="jetson-nano", stream=True)


@pytest.fixture(scope="session")
def mobile_bundle(tmp_path_factory):
    return export_small("tsm_mbv2", tmp_path_factory.mktemp("mobile") / "mobile", target="mobile")


@pytest.fixture
def run_edgevid(capsys):
    """Run a command in this process; gives its exit status, stdout and stderr."""
    from edgevid.cli import main

    def run(*arguments: object) -> SimpleNamespace:
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code or 0
        captured = capsys.readouterr()
        return SimpleNamespace(status=status, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def refuses(run_edgevid):
    """The command is refused as bad input: status 2, nothing on stdout, one line with all of ``words`` last."""

    def check(arguments: list, *words: str) -> str:
        result = run_edgevid(*arguments)
        lines = [line for line in result.err.splitlines() if line.startswith("edgevid: ")]
        assert result.status == 2, result
        assert result.out == ""
        assert "Traceback" not in result.err
        assert lines, result.err
        assert result.err.splitlines()[-1] == lines[-1]
        for word in words:
            assert word in lines[-1]
        return lines[-1]

    return check
