"""Every registered backend keeps the protocol: a new one is covered on the day that its folder is there."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest
from tiny_network import Shifted

import edgevid
from edgevid import parity
from edgevid.backends import BACKENDS, backends_of, protocol
from edgevid.errors import EdgevidError
from edgevid.specs import TOLERANCE, Artefact
from edgevid.targets import TARGETS

EVERYWHERE = [name for name in BACKENDS if name in backends_of(TARGETS["cpu"])]
"""Those that run here what they compile."""


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_is_a_folder_with_a_readme(name):
    folder = files(f"edgevid.backends.{name}")
    assert BACKENDS[name].module.startswith(f"edgevid.backends.{name}.")
    assert 5 <= len((folder / "README.md").read_text("utf-8").splitlines()) <= 60


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_says_what_it_is_and_whether_it_can_run(name):
    backend = BACKENDS[name]
    assert backend.title and backend.precisions and set(backend.precisions) <= set(TOLERANCE)
    here = backend.available()
    assert here.what if here.ok else here.why and here.remedy
    assert isinstance(backend.opens_here(), bool)
    assert backend.next_step.format(path="b") != backend.next_step


@pytest.mark.parametrize("name", BACKENDS)
def test_a_target_takes_each_backend(name):
    assert any(name in backends_of(target) for target in TARGETS.values())


@pytest.mark.parametrize("name", BACKENDS)
def test_a_file_that_is_no_model_is_refused_in_one_line(name, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(EdgevidError) as refusal:
        BACKENDS[name].open_model(Artefact("model.onnx", "fp32", "", name), tmp_path)
    assert "\n" not in str(refusal.value)


def test_the_table_loads_no_runtime():
    code = (
        "import sys; from edgevid.backends import BACKENDS; list(BACKENDS)\n"
        "heavy = {'torch', 'onnx', 'onnx_ir', 'onnxruntime', 'numpy', 'tvm', 'tensorrt'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERYWHERE)
def test_it_runs_clips_and_streams_as_pytorch_does(name, tmp_path):
    options = {"backend": name, "frames": 3, "size": 32}
    clips = edgevid.open(edgevid.export(Shifted(), output=tmp_path / "clips", **options).path)
    clip, expected = parity.load(clips.path)
    assert clips.backend == name
    assert parity.compare(clips.run(clip), expected, 1e-5).ok
    assert clips.prepare(clip)() is None

    causal = edgevid.export(Shifted("causal"), output=tmp_path / "stream", stream=True, **options)
    session = edgevid.open(causal.path)
    clip, expected = parity.load(causal.path)
    stream, other = session.stream(), session.stream()
    for _ in range(2):
        pushed = [stream.push(frame[None]) for frame in clip[0]]
        assert parity.compare(parity.joined(pushed, pushed[0]), expected, 1e-5).ok
        np.testing.assert_array_equal(other.push(clip[0][:1])["logits"], pushed[0]["logits"])
        stream.reset()
        other.reset()


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERYWHERE)
def test_its_runner_has_what_the_protocol_names(name, tmp_path):
    bundle = edgevid.export(Shifted("causal"), output=tmp_path / "b", backend=name, stream=True, size=32)
    (artefact,) = (item for item in bundle.manifest.artefacts if item.file == bundle.manifest.model_file)
    runner = BACKENDS[name].open_model(artefact, bundle.path, protocol.OpenOptions(threads=1))
    assert isinstance(runner, protocol.Runner) and not isinstance(runner, protocol.RemoteRunner)
    stepper = runner.stepper("frame", bundle.manifest.states)
    assert isinstance(stepper, protocol.Stepper)
    assert runner.threads == 1
    assert set(runner.inputs) == {"frame", *(state.input for state in bundle.manifest.states)}
