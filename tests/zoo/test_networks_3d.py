"""Networks of volumes compute what their sources do, though they are built of 2-D convolutions."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from official import names_and_shapes, reference, zeros_of
from torch import nn

import edgevid
from edgevid.benchmarks.experiments.networks_3d import official_resnet3d, official_slowfast
from edgevid.errors import EdgevidError, WeightsError
from edgevid.exporter.measure import measure
from edgevid.zoo.layers.frame_stack import SpatiotemporalConv
from edgevid.zoo.layers.non_local import PAIRWISE, NonLocal
from edgevid.zoo.layers.pair_max import PairMax
from edgevid.zoo.r2plus1d.network import Conv2Plus1d
from edgevid.zoo.resnet3d.network import WindowMean
from edgevid.zoo.slowfast.network import slow_frames

pytestmark = pytest.mark.slow

CHECKPOINTS = {
    "slowfast_8x8_r50_kinetics": "slowfast_r50_8x8",
    "slow_8x8_r50_kinetics": "slow_r50",
    "c2d_8x8_r50_kinetics": "c2d_r50",
    "i3d_8x8_r50_kinetics": "i3d_r50",
    "i3d_nl_dot_product_r50_32f": "i3d_r50_nl",
    "c3d_sports1m_16x112_101": "c3d",
    "r2plus1d_r34_8f_112": "r2plus1d_r34",
}


def distance(actual: torch.Tensor, expected: np.ndarray | torch.Tensor) -> float:
    """The largest difference in standard deviations of what is wanted."""
    expected = np.asarray(expected)
    return float(np.abs(actual.double().numpy().reshape(expected.shape) - expected).max() / expected.std())


@pytest.mark.parametrize(
    "case", ["slowfast_8x8_r50_kinetics", "c3d_sports1m_16x112_101", "r2plus1d_r34_8f_112"]
)
@torch.no_grad()
def test_logits_match_those_of_the_official_forward_pass(case):
    checkpoint = reference(case)
    classes, frames = len(checkpoint.logits), checkpoint.clip.shape[1]
    network = edgevid.create_model(CHECKPOINTS[case], num_classes=classes, frames=frames)
    edgevid.load_weights(network, checkpoint.state).eval()
    assert distance(network(checkpoint.clip), checkpoint.logits) < 2e-5
    # Frames in another order are another clip: the comparison can fail.
    assert distance(network(checkpoint.clip.flip(1)), checkpoint.logits) > 1e-3


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_every_tensor_of_a_released_checkpoint_finds_its_place(case):
    state = reference(case).state
    classes = 101 if case.startswith("c3d") else 400
    network = edgevid.load_weights(edgevid.create_model(CHECKPOINTS[case], num_classes=classes), state)
    sums = sorted(float(tensor.double().sum()) for tensor in state.values())
    assert sorted(float(tensor.double().sum()) for tensor in network.state_dict().values()) == sums


@pytest.mark.parametrize(
    ("case", "model"),
    [
        ("slow_8x8_r50_kinetics", "c2d_r50"),
        ("c2d_8x8_r50_kinetics", "i3d_r50"),
        ("i3d_8x8_r50_kinetics", "slow_r50"),
        ("slow_8x8_r50_kinetics", "slowfast_r50_8x8"),
        ("slowfast_8x8_r50_kinetics", "slowfast_r50_4x16"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(case, model):
    with torch.device("meta"):  # which is decided by names and shapes
        network = edgevid.create_model(model)
    with pytest.raises(WeightsError, match="not the weights of this network"):
        edgevid.load_weights(network, zeros_of(names_and_shapes(case)))


def in_the_names_of_mmaction2(state: dict) -> dict:
    """The tensors of pytorchvideo's ResNet as MMAction2 would name them."""
    renamed = {}
    for name, tensor in state.items():
        match = re.fullmatch(r"backbone\.(.+)\.(conv|bn|downsample\.)(\d)\.(\w+)", name)
        if match is None:
            name = name.replace("classifier", "cls_head.fc_cls").replace(".conv1.", ".conv1.conv.")
            name = name.replace(".bn1.", ".conv1.bn.")
        elif match[2] == "downsample.":
            name = f"backbone.{match[1]}.downsample.{('conv', 'bn')[int(match[3])]}.{match[4]}"
        else:
            name = f"backbone.{match[1]}.conv{match[3]}.{match[2]}.{match[4]}"
        renamed[name] = tensor
    return renamed


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("i3d_r50", "MMAction2's I3D keeps every fourth frame after its stem: use i3d_r50_32x2"),
        ("c2d_r50", "MMAction2's C2D has no padding after its stem"),
    ],
)
def test_a_network_whose_names_fit_but_whose_strides_differ_is_refused(model, reason):
    with torch.device("meta"):
        network = edgevid.create_model(model, num_classes=3)
    theirs = zeros_of(in_the_names_of_mmaction2(network.state_dict()))
    with pytest.raises(WeightsError, match=f"though their names fit: {reason}"):
        edgevid.load_weights(network, theirs)
    slow = edgevid.create_model("slow_r50", num_classes=3)
    edgevid.load_weights(slow, in_the_names_of_mmaction2(slow.state_dict()))  # the same in both projects


def test_i3d_of_32_frames_takes_mmaction2s_weights_and_not_pytorchvideos():
    network = edgevid.create_model("i3d_r50_32x2")
    edgevid.load_weights(network, in_the_names_of_mmaction2(network.state_dict()))
    with pytest.raises(WeightsError, match="pytorchvideo's I3D keeps every frame"):
        edgevid.load_weights(network, zeros_of(names_and_shapes("i3d_8x8_r50_kinetics")))


@torch.no_grad()
def test_batch_norms_inside_a_factorized_convolution_keep_their_own_epsilon():
    case = reference("r2plus1d_r34_8f_112")
    network = edgevid.create_model("r2plus1d_r34")
    edgevid.load_weights(network, case.state).eval()
    for module in network.modules():
        if isinstance(module, Conv2Plus1d):
            assert module.bn_s.eps == 1e-5
            module.bn_s.eps = 1e-3
    # With the network's epsilon inside too, the distance to MMAction2's code was 1.9e-2.
    assert distance(network(case.clip), case.logits) > 1e-2


def trained(name: str, **options: object) -> nn.Module:
    """A network whose batch norms and residual branches all matter, in evaluation mode."""
    torch.manual_seed(0)
    network = edgevid.create_model(name, num_classes=7, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, 0, 0.1)
    return network.eval()


@pytest.mark.parametrize(
    ("name", "official", "frames"),
    [
        ("slow_r50", official_resnet3d, 3),
        ("c2d_r50", official_resnet3d, 5),
        ("i3d_r50", official_resnet3d, 4),
        ("slowfast_r50_8x8", official_slowfast, 12),
        ("slowfast_r50_4x16", official_slowfast, 16),
    ],
)
@torch.no_grad()
def test_outputs_are_those_of_the_same_3d_network(name, official, frames):
    network = trained(name, frames=frames)
    clips = torch.randn(2, frames, 3, 32, 48)
    assert distance(network(clips), official(network)(clips)) < 2e-5


@torch.no_grad()
def test_larger_frames_are_averaged_over_windows_of_seven_pixels():
    x = torch.randn(2, 3, 9, 8)
    expected = torch.stack([x[..., i : i + 7, j : j + 7].mean((2, 3)) for i in range(3) for j in range(2)])
    torch.testing.assert_close(WindowMean()(x), expected.mean(0))
    torch.testing.assert_close(WindowMean()(x[..., :7, :5]), x[..., :7, :5].mean((2, 3)))


@pytest.mark.parametrize(("frames", "alpha"), [(32, 4), (32, 8), (64, 4), (16, 8), (8, 8), (10, 4)])
def test_the_slow_pathway_sees_the_frames_that_the_source_takes(frames, alpha):
    chosen = slow_frames(frames, alpha)
    assert chosen.tolist() == torch.linspace(0, frames - 1, -(-frames // alpha)).long().tolist()


@pytest.mark.parametrize("frames", [2, 5, 8])
def test_pairs_of_frames_are_pooled_as_a_volume_is(frames):
    clips = torch.randn(2, frames, 3, 4, 4)
    expected = nn.functional.max_pool3d(clips.transpose(1, 2), (2, 1, 1)).transpose(1, 2)
    pooled = PairMax()(clips.flatten(0, 1), frames)
    torch.testing.assert_close(pooled, expected.flatten(0, 1))


def test_a_single_frame_has_no_pair():
    with pytest.raises(EdgevidError, match="needs at least two"):
        PairMax()(torch.zeros(1, 3, 4, 4), 1)


@torch.no_grad()
def test_a_stem_that_keeps_every_fourth_frame_is_one_that_halves_them_twice():
    """What spares I3D with non-local blocks the frames that its max-pool leaves out."""
    stem = edgevid.create_model("i3d_r50_nl", num_classes=7).eval().backbone
    clips = torch.randn(1, 14, 3, 32, 32)
    conv = nn.Conv3d(3, 64, (5, 7, 7), 2, (2, 3, 3), bias=False)
    conv.weight = stem.conv1.weight
    volume = torch.relu(conv(clips.transpose(1, 2)) / (1 + stem.bn1.eps) ** 0.5)
    expected = nn.functional.max_pool3d(volume, (1, 3, 3), 2, (0, 1, 1)).transpose(1, 2)
    torch.testing.assert_close(stem.stem(clips.flatten(0, 1), 14), expected.flatten(0, 1))


@pytest.mark.parametrize("pairwise", PAIRWISE)
@torch.no_grad()
def test_i3d_has_five_non_local_blocks_of_each_kind(pairwise):
    network = trained("i3d_r50_nl", frames=16, pairwise=pairwise)
    blocks = [name for name, module in network.named_modules() if isinstance(module, NonLocal)]
    assert [name.removeprefix("backbone.layer").removesuffix(".non_local") for name in blocks] == [
        "2.1", "2.3", "3.1", "3.3", "3.5",
    ]  # fmt: skip
    before = network(torch.ones(1, 16, 3, 64, 64))
    for block in network.modules():
        if isinstance(block, NonLocal):
            nn.init.zeros_(block.bn.weight)
    assert not torch.allclose(before, network(torch.ones(1, 16, 3, 64, 64)))


@torch.no_grad()
def test_a_factorized_convolution_is_two_of_volumes_with_a_relu_between():
    layer = Conv2Plus1d(4, 6, 3, 3, 2, 2).eval()
    space = nn.Conv3d(4, layer.conv_s.out_channels, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
    time = nn.Conv3d(layer.conv_s.out_channels, 6, (3, 1, 1), (2, 1, 1), (1, 0, 0), bias=False)
    space.weight = nn.Parameter(layer.conv_s.weight[:, :, None])
    time.weight = layer.conv_t.weight
    clips = torch.randn(2, 5, 4, 6, 6)
    volume = space(clips.transpose(1, 2)) / (1 + layer.bn_s.eps) ** 0.5
    expected = time(torch.relu(volume)).transpose(1, 2)
    torch.testing.assert_close(layer(clips.flatten(0, 1), 5), expected.flatten(0, 1))
    # As many parameters as one convolution of 3x3x3 has, but for the rounding.
    parameters = layer.conv_s.weight.numel() + layer.conv_t.weight.numel()
    one_more_channel = 4 * 3 * 3 + 6 * 3
    assert 0 <= 4 * 6 * 27 - parameters < one_more_channel


@pytest.mark.parametrize(("frames", "size"), [(8, 112), (16, 128)])
def test_c3d_names_the_clips_that_it_accepts(frames, size):
    network = edgevid.create_model("c3d").eval()
    with pytest.raises(EdgevidError, match="takes 16 frames of 112x112 pixels, not"):
        network(torch.zeros(1, frames, 3, size, size))


@pytest.mark.parametrize(
    ("name", "size", "parameters_m", "gmacs"),
    [
        ("slowfast_r50_8x8", 256, 34.57, 65.71),
        ("slowfast_r50_4x16", 256, 34.48, 36.69),
        ("slow_r50", 256, 32.45, 54.52),
        ("c2d_r50", 256, 24.33, 25.89),
        ("i3d_r50", 256, 28.04, 37.53),
        ("c3d", 112, 78.41, 38.5),
        ("r2plus1d_r34", 256, 63.76, 53.1),
    ],
)
def test_parameters_and_macs_are_those_of_the_sources(name, size, parameters_m, gmacs):
    """pytorchvideo's model zoo, and MMAction2's; for some they count element-wise work too, under 2 %."""
    measured = measure(name, size=size)
    assert measured.parameters / 1e6 == pytest.approx(parameters_m, abs=0.01)
    assert measured.macs / 1e9 == pytest.approx(gmacs, rel=0.02)


def test_all_convolutions_over_time_are_stacks_of_frames():
    network = edgevid.create_model("slowfast_r50_8x8")
    assert not any(isinstance(module, nn.Conv3d) for module in network.modules())
    over_time = [
        module
        for module in network.modules()
        if isinstance(module, SpatiotemporalConv) and module.weight.shape[2] > 1
    ]
    assert len(over_time) == 1 + 4 + 9 + 16  # the fast stem, the laterals, the slow pathway, the fast one
