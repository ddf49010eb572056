"""Released checkpoints load, give the official logits, and are refused by another network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from official import names_and_shapes, reference, zeros_of

import edgevid
from edgevid.errors import WeightsError

pytestmark = pytest.mark.slow


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


@torch.no_grad()
def test_tsm_r50_meets_the_official_forward_pass():
    case = reference("tsm_r50_8f_kinetics")
    network = edgevid.load_weights(edgevid.create_model("tsm_r50"), {"state_dict": case.state}).eval()
    assert relative_error(network(case.clip).numpy().ravel(), case.logits) < 1e-4
    # The same weights without the shift are another network: the comparison can fail.
    without = edgevid.create_model("tsn_r50").eval()
    without.load_state_dict(network.state_dict())
    assert relative_error(without(case.clip).numpy().ravel(), case.logits) > 1e-2


@torch.no_grad()
def test_online_tsm_meets_the_official_stream():
    case = reference("tsm_mbv2_online_jester_5frames")
    network = edgevid.create_model("tsm_mbv2_online", num_classes=27, frames=5)
    edgevid.load_weights(network, case.state).eval()
    assert relative_error(network.frame_logits(case.clip).numpy().ravel(), case.logits) < 1e-4


def test_the_exported_stream_meets_the_official_one_and_keeps_the_states_of_the_paper(tmp_path):
    case = reference("tsm_mbv2_online_jester_5frames")
    torch.save(case.state, tmp_path / "online.pth.tar")
    bundle = edgevid.export(
        "tsm_mbv2_online", output=tmp_path / "bundle", weights=tmp_path / "online.pth.tar", stream=True
    )
    assert bundle.manifest.classes == 27
    assert bundle.manifest.labels == "jester"
    shapes = [state.shape[1:] for state in bundle.manifest.states]
    expected = [(3, 56, 56)] + 2 * [(4, 28, 28)] + 3 * [(8, 14, 14)] + 2 * [(12, 14, 14)] + 2 * [(20, 7, 7)]
    assert shapes == expected
    stream = edgevid.open(bundle.path).stream()
    pushed = [stream.push(frame[None])["logits"] for frame in case.clip[0].numpy()]
    assert relative_error(np.concatenate(pushed).ravel(), case.logits) < 1e-4


@pytest.mark.parametrize(
    ("case", "model", "classes"),
    [
        ("tsm_mbv2_8f_kinetics", "tsm_mbv2", 400),
        ("tsm_mbv2_8f_kinetics", "tsm_mbv2_online", 400),
        ("tsn_r50_8f_kinetics", "tsn_r50", 400),
        ("tsn_r50_8f_kinetics", "tsm_r50", 400),
        ("tsm_r50_8f_kinetics", "tsm_r50_online", 400),
        ("tsm_r101_8f_something", "tsm_r101", 174),
    ],
)
def test_every_tensor_of_a_released_checkpoint_finds_its_place(case, model, classes):
    state = reference(case).state
    network = edgevid.load_weights(edgevid.create_model(model, num_classes=classes), {"state_dict": state})
    sums = sorted(float(tensor.double().sum()) for tensor in state.values())
    assert sorted(float(tensor.double().sum()) for tensor in network.state_dict().values()) == sums


def test_a_networks_own_state_dict_loads(tmp_path):
    network = edgevid.create_model("tsm_mbv2", num_classes=3)
    torch.save(network.state_dict(), tmp_path / "own.pt")
    other = edgevid.load_weights(edgevid.create_model("tsm_mbv2", num_classes=3), tmp_path / "own.pt")
    torch.testing.assert_close(other.classifier.weight, network.classifier.weight)


@pytest.mark.parametrize(
    ("case", "model", "first"),
    [
        ("tsm_r50_8f_kinetics", "tsn_r50", "module.base_model.layer1.0.conv1.net.weight is unknown"),
        ("tsm_r50_8f_kinetics", "tsm_r101", "module.base_model.layer1.1.conv1.net.weight is unknown"),
        ("tsm_r50_8f_kinetics", "tsm_mbv2", r"module.new_fc.weight is \(400, 2048\), not \(400, 1280\)"),
    ],
)
def test_weights_of_another_network_are_refused_by_name(case, model, first):
    network = edgevid.create_model(model)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=f"not the weights of this network: {first}"):
        edgevid.load_weights(network, {"state_dict": zeros_of(names_and_shapes(case))})
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_wrong_class_count_is_refused_with_the_right_one():
    with torch.device("meta"):
        network = edgevid.create_model("tsm_r101")
    with pytest.raises(WeightsError, match="has 174 classes, the network 400: use --classes 174"):
        edgevid.load_weights(network, zeros_of(names_and_shapes("tsm_r101_8f_something")))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        (b"", "not a PyTorch checkpoint, or is damaged"),
        (b"PK\x03\x04 not really a zip", "not a PyTorch checkpoint, or is damaged"),
        (b"\x80\x02text", "PyTorch checkpoint"),
        (b"hello", "PyTorch checkpoint"),
    ],
)
def test_a_missing_or_corrupt_file_is_refused(content, reason, tmp_path):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=reason):
        edgevid.load_weights(edgevid.create_model("tsm_mbv2"), path)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": edgevid.create_model("tsm_mbv2").state_dict()}, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match="damaged"):
        edgevid.load_weights(edgevid.create_model("tsm_mbv2"), path)


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Attack:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    torch.save({"state_dict": Attack()}, tmp_path / "attack.pth")
    with pytest.raises(WeightsError, match="Python objects besides tensors"):
        edgevid.load_weights(edgevid.create_model("tsm_mbv2"), tmp_path / "attack.pth")
    assert not (tmp_path / "ran").exists()


def test_a_file_without_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="holds no tensors"):
        edgevid.load_weights(edgevid.create_model("tsm_mbv2"), tmp_path / "empty.pth")
