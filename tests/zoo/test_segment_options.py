"""The options of TSN and TSM: what a segment is, where the shift stands, how answers are combined."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import max_pool3d

import edgevid
from edgevid.errors import EdgevidError
from edgevid.zoo import MODELS
from edgevid.zoo.backbones.resnet import BlockShiftBottleneck, Bottleneck
from edgevid.zoo.consensus import make_consensus
from edgevid.zoo.layers.non_local import NonLocal
from edgevid.zoo.layers.shift import TemporalShift
from edgevid.zoo.layers.temporal_pool import TemporalPool
from edgevid.zoo.modality import read_segments

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8])
def test_temporal_pooling_is_a_max_pool_of_three_frames_with_stride_two(frames):
    x = torch.randn(2 * frames, 3, 4, 5)
    volume = x.unflatten(0, (2, frames)).transpose(1, 2)
    expected = max_pool3d(volume, (3, 1, 1), (2, 1, 1), (1, 0, 0)).transpose(1, 2).flatten(0, 1)
    pool = TemporalPool()
    torch.testing.assert_close(pool(x, frames), expected, rtol=0, atol=0)
    assert len(expected) == 2 * pool.frames_out(frames)


@torch.no_grad()
def test_temporal_pooling_halves_the_frames_after_the_first_stage():
    network = edgevid.create_model("tsm_r50", num_classes=3, frames=4, temporal_pool=True).eval()
    frame_counts = []
    network.backbone.layer1[2].register_forward_hook(lambda module, inputs, y: frame_counts.append(len(y)))
    network.backbone.layer2[0].register_forward_hook(lambda module, inputs, y: frame_counts.append(len(y)))
    clip = torch.randn(1, 4, 3, 32, 32)
    assert network.frame_logits(clip).shape == (1, 2, 3)
    assert frame_counts == [4, 2]
    torch.testing.assert_close(network(clip), network.frame_logits(clip).mean(1))


@torch.no_grad()
def test_the_place_of_a_shift_is_the_branch_or_the_whole_block():
    x = torch.randn(4, 64, 5, 5)
    shift = TemporalShift("bidirectional", 8)
    branch = Bottleneck(64, 16, 1, 1, 64, shift).eval()
    whole = BlockShiftBottleneck(64, 16, 1, 1, 64, shift).eval()
    whole.load_state_dict(branch.state_dict())
    moved = shift(x, 4)
    torch.testing.assert_close(branch(x, 4), branch.residual(moved, x))
    torch.testing.assert_close(whole(x, 4), branch.residual(moved, moved))
    assert not torch.allclose(whole(x, 4), branch(x, 4))


@pytest.mark.parametrize(
    ("options", "kind", "count"),
    [
        ({"place": "block"}, BlockShiftBottleneck, 16),
        ({"non_local": "dot_product"}, NonLocal, 5),
        ({"shift_div": 3}, TemporalShift, 16),
    ],
)
def test_options_of_the_official_code_change_what_they_name(options, kind, count):
    network = edgevid.create_model("tsm_r50", num_classes=3, **options)
    assert sum(isinstance(module, kind) for module in network.modules()) == count


def test_non_local_blocks_have_the_bias_that_their_source_gives_them():
    for kind, has_bias in {"embedded_gaussian": True, "dot_product": False}.items():
        network = edgevid.create_model("tsm_r50", num_classes=3, non_local=kind)
        assert (network.backbone.layer2[0].non_local.out.bias is not None) == has_bias


def test_a_shift_of_whole_blocks_is_in_every_block_of_resnet_101():
    network = edgevid.create_model("tsm_r101", num_classes=3, place="block")
    assert sum(isinstance(module, TemporalShift) for module in network.modules()) == 33


def test_non_local_blocks_follow_every_second_block_of_stages_2_and_3():
    network = edgevid.create_model("tsm_r50_nl", num_classes=3)
    blocks = [name for name, module in network.named_modules() if isinstance(module, NonLocal)]
    assert blocks == [f"backbone.layer{place}.non_local" for place in ("2.0", "2.2", "3.0", "3.2", "3.4")]


def test_macs_are_those_of_mmaction2_less_its_batch_norms():
    """Its 32.88 G of TSM-ResNet-50 count two for each value of a batch norm, which is free once folded."""
    with torch.device("meta"):
        network = edgevid.create_model("tsm_r50").eval()
    normalized = []
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda module, inputs, y: normalized.append(y.numel()))
    with torch.no_grad():
        network(torch.empty(1, 8, 3, 224, 224, device="meta"))
    assert round((MODELS["tsm_r50"].facts.macs + 2 * sum(normalized)) / 1e9, 2) == 32.88


def test_each_consensus_combines_segments_as_it_says():
    logits = torch.tensor([[[1.0, 0], [2, 8], [3, 4], [10, 0]]])
    features = torch.tensor([[[0.0], [0], [1], [1]]])
    expected = {"average": [4, 3], "max": [10, 8], "top-k": [5, 4], "weighted": [4, 3], "attention": [4, 3]}
    for kind, values in expected.items():
        assert make_consensus(kind, 4, 1)(logits, features).tolist() == [values], kind


def test_a_learned_consensus_follows_its_weights():
    logits, features = torch.randn(2, 4, 5), torch.randn(2, 4, 3)
    weighted, attention = make_consensus("weighted", 4, 3), make_consensus("attention", 4, 3)
    with torch.no_grad():
        weighted.weight.copy_(torch.tensor([0.0, 1, 0, 0]))
        attention.weight.copy_(torch.tensor([1e4, 0, 0]))
        torch.testing.assert_close(weighted(logits, features), logits[:, 1])
        surest = features[:, :, 0].argmax(1)
        torch.testing.assert_close(attention(logits, features), logits[torch.arange(2), surest])


def test_a_learned_consensus_is_part_of_the_network():
    network = edgevid.create_model("tsn_mbv2", num_classes=3, frames=4, consensus="weighted")
    assert network.consensus.weight.shape == (4,)
    assert network.eval()(torch.randn(1, 4, 3, 32, 32)).shape == (1, 3)


def test_rgb_difference_reads_six_frames_and_sees_five_differences():
    frames = torch.randn(2, 4, 6, 3, 5, 5)
    expected = (frames[:, :, 1:] - frames[:, :, :-1]).flatten(2, 3)
    assert torch.equal(read_segments(frames.flatten(2, 3), "rgb_difference"), expected)
    network = edgevid.create_model("tsn_mbv2", num_classes=3, modality="rgb_difference")
    assert network.backbone.features[0][0].in_channels == 15
    still = torch.randn(1, 2, 1, 3, 32, 32).expand(-1, -1, 6, -1, -1, -1).flatten(2, 3)
    assert torch.equal(network.eval()(still), network(torch.zeros_like(still)))


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("tsm_mbv2", {"place": "block"}, "mobilenet_v2 has no option block: choose a ResNet"),
        ("tsm_r50", {"place": "stem"}, "unknown place of a shift 'stem': choose one of blockres, block"),
        ("tsm_r50", {"consensus": "vote"}, "unknown consensus 'vote': choose one of average"),
        ("tsm_r50", {"modality": "depth"}, "unknown modality 'depth': choose one of rgb"),
        ("tsm_r50_online", {"temporal_pool": True}, "read later frames: leave them out online"),
        ("tsm_r50_online", {"non_local": "gaussian"}, "read later frames: leave them out online"),
    ],
)
def test_invalid_options_are_refused(name, options, reason):
    with pytest.raises(EdgevidError, match=reason):
        edgevid.create_model(name, **options)
