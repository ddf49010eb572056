"""Every network of the list is what the list says, exports, and gives the same everywhere.

Grows by registration: a new network is covered on the day it is registered.
"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from short_network import short_network

import edgevid
from edgevid import parity
from edgevid.backends import BACKENDS
from edgevid.backends.reference import backend as reference_backend
from edgevid.errors import EdgevidError, UnknownNameError
from edgevid.exporter.measure import fixed_numbers, measure, measure_network
from edgevid.zoo import MODELS
from edgevid.zoo.layers.shift import TemporalShift

pytestmark = pytest.mark.slow

CLASSES = 5
TOLERANCE = 1e-4
CAUSAL = [spec.name for spec in MODELS.values() if spec.causal]


@pytest.fixture(scope="module")
def network(request) -> torch.nn.Module:
    """The smallest network with each kind of block of the model; its tests share it."""
    return short_network(request.param, *MODELS[request.param].smallest, num_classes=CLASSES)


def smallest_input(network: torch.nn.Module) -> dict[str, int]:
    """The options of an export for it."""
    frames, size = network.edgevid_spec.smallest
    return {"frames": frames, "size": size} if network.edgevid_spec.input == "clip" else {"size": size}


def outputs_of(network: torch.nn.Module, given: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        answer = network.eval()(given)
    return answer if isinstance(answer, dict) else {"logits": answer}


def frames_seen(network: torch.nn.Module, clip: torch.Tensor) -> torch.Tensor:
    """What a causal network answers after each frame of one clip, ``(T, ...)``."""
    with torch.no_grad():
        if hasattr(network, "frame_logits"):
            return network.frame_logits(clip)[0]
        return list(network(clip).values())[-1]


@pytest.mark.parametrize("name", MODELS)
def test_the_list_is_right_about_every_model(name):
    """Parameters, MACs and temporal ops; python -m edgevid.exporter.measure NAME prints the line."""
    assert measure(name) == dataclasses.replace(MODELS[name].facts, fixed={})


@pytest.mark.parametrize("name", ["c3d", "channelnet_v3", "i3d_r50", "stm_r50", "tsm_mbv2"])
def test_the_layer_that_holds_a_number_is_the_one_in_the_list(name):
    assert fixed_numbers(name) == MODELS[name].facts.fixed


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_prepared_for_at_its_own_size(name):
    spec = MODELS[name]
    assert spec.preprocessing.at_size(spec.size).crop == spec.size
    assert spec.size <= spec.preprocessing.at_size(spec.size).short_side


@pytest.mark.parametrize("network", MODELS, indirect=True)
def test_every_model_takes_a_batch(network):
    """Two inputs at once give what each gives alone."""
    spec = network.edgevid_spec
    pair = torch.randn(2, *spec.input_shape(*spec.smallest)[1:])
    together, alone = outputs_of(network, pair), outputs_of(network, pair[1:])
    for output, rows in together.items():
        assert rows.dtype == torch.float32
        assert torch.isfinite(rows).all()
        last = rows[-len(alone[output]) :]
        assert (last - alone[output]).abs().max() <= 1e-4 * rows.abs().max()
    if spec.classes:
        assert together["logits"].shape == (2, CLASSES)


@pytest.mark.parametrize("network", MODELS, indirect=True)
def test_every_model_exports_and_is_the_same_in_every_runtime(network, tmp_path):
    bundle = edgevid.export(network, output=tmp_path / "bundle", **smallest_input(network))
    manifest = bundle.manifest
    example, wanted = parity.load(bundle.path)

    # In plain ONNX Runtime, without our library, both with our ops as nodes and in standard ops alone.
    assert len(manifest.artefacts) == 2
    for artefact in manifest.artefacts:
        assert artefact.parity.max_rel < TOLERANCE, artefact.file
    with_kernels = edgevid.open(bundle.path).run(example)
    assert parity.compare(with_kernels, wanted, TOLERANCE).ok
    in_openvino = run_in_openvino(bundle.path / "model.onnx", example)
    assert parity.compare(in_openvino, wanted, TOLERANCE).ok
    reference = BACKENDS["reference"].open_model(reference_backend.MODEL, bundle.path)
    assert parity.compare(reference.run({reference.inputs[0]: example}), wanted, TOLERANCE).ok

    # No MAC was lost or counted twice on the way.
    counted = measure_network(copy.deepcopy(network).to("meta"), example.shape)
    assert manifest.macs == counted.macs
    assert manifest.weights.parameters == counted.parameters
    assert {output.name: output.shape for output in manifest.outputs} == {
        output: array.shape for output, array in wanted.items()
    }


def run_in_openvino(path: Path, example: np.ndarray) -> dict[str, np.ndarray]:
    openvino = pytest.importorskip("openvino", reason="openvino is not installed: pip install openvino")
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}
    compiled = openvino.Core().compile_model(path, "CPU", exact)
    results = compiled([example])
    return {output.any_name: results[output] for output in compiled.outputs}


@pytest.mark.parametrize("network", CAUSAL, indirect=True)
def test_every_causal_model_streams_as_it_sees_a_clip_frame_by_frame(network, tmp_path):
    bundle = edgevid.export(network, output=tmp_path / "bundle", stream=True, **smallest_input(network))
    assert bundle.manifest.parity.max_rel < TOLERANCE
    clip, wanted = parity.load(bundle.path)
    assert all(len(rows) == clip.shape[1] for rows in wanted.values())
    stream = edgevid.open(bundle.path).stream()
    for _ in range(2):  # the second time after a reset: nothing of the first is left
        pushed = [stream.push(frame[None]) for frame in clip[0]]
        got = {output: np.concatenate([frame[output] for frame in pushed]) for output in wanted}
        assert parity.compare(got, wanted, TOLERANCE).ok
        stream.reset()


@pytest.mark.parametrize("name", [spec.name for spec in MODELS.values() if spec.online])
def test_every_online_variant_exists_and_is_causal(name):
    assert MODELS[MODELS[name].online].causal


@pytest.mark.parametrize("network", CAUSAL, indirect=True)
def test_a_causal_model_sees_each_frame_and_none_that_is_later(network):
    spec = network.edgevid_spec
    clip = torch.randn(spec.input_shape(*spec.smallest))
    changed = clip.clone()
    changed[:, -1] = 0
    before, after = frames_seen(network, clip), frames_seen(network, changed)
    torch.testing.assert_close(before[:-1], after[:-1])
    assert not torch.allclose(before[-1], after[-1])


@pytest.mark.parametrize("network", [name for name in CAUSAL if MODELS[name].classes], indirect=True)
def test_a_causal_model_averages_its_answers_to_each_frame(network):
    spec = network.edgevid_spec
    clip = torch.randn(spec.input_shape(*spec.smallest))
    torch.testing.assert_close(frames_seen(network, clip).mean(0), outputs_of(network, clip)["logits"][0])


def test_a_bidirectional_model_sees_the_next_frame():
    network = edgevid.create_model("tsm_mbv2", num_classes=3, frames=4).eval()
    clip = torch.randn(1, 4, 3, 64, 64)
    changed = clip.clone()
    changed[:, 3] = 0
    with torch.no_grad():
        before, after = network.frame_logits(clip), network.frame_logits(changed)
    assert not torch.allclose(before[:, 2], after[:, 2])


@pytest.mark.parametrize(
    ("name", "shifts", "parameters"),
    [
        ("tsn_r50", 0, 24_327_632),
        ("tsm_r50", 16, 24_327_632),
        ("tsm_r50_online", 16, 24_327_632),
        ("tsm_r101", 18, 43_319_760),
        ("tsm_rx101", 18, 87_561_936),
        ("tsm_mbv2", 10, 2_736_272),
        ("tsm_mbv2_online", 10, 2_736_272),
    ],
)
def test_shifts_and_parameters_are_those_of_the_official_network(name, shifts, parameters):
    with torch.device("meta"):
        network = edgevid.create_model(name)
    assert sum(isinstance(module, TemporalShift) for module in network.modules()) == shifts
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_a_measured_mac_too_many_would_be_noticed():
    assert measure("tsm_mbv2") != dataclasses.replace(
        MODELS["tsm_mbv2"].facts, macs=MODELS["tsm_mbv2"].facts.macs + 1
    )
    assert measure("tsm_mbv2", frames=4).macs * 2 == MODELS["tsm_mbv2"].facts.macs


def test_the_standard_classes_frames_and_size_are_the_entrys_own():
    network = edgevid.create_model("tsm_mbv2")
    assert network.frames == MODELS["tsm_mbv2"].frames
    assert network.classifier.out_features == MODELS["tsm_mbv2"].classes


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean tsm_mbv2"):
        edgevid.create_model("tsm_mbv")


def test_no_classes_are_refused():
    with pytest.raises(EdgevidError, match="at least one class"):
        edgevid.create_model("tsm_mbv2", num_classes=0)
