"""ChannelNets are the networks of their public code, and of the paper where that was asked for."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from official import reference
from torch.nn import functional

import edgevid
from edgevid.errors import EdgevidError, WeightsError
from edgevid.exporter.measure import measure
from edgevid.zoo.channelnet.classifiers import SIDE, SeparableConv, VolumeConv
from edgevid.zoo.channelnet.network import DepthwiseSeparablePixelwise, GroupModule
from edgevid.zoo.layers.same_padding import SameConv2d, same_pads

pytestmark = pytest.mark.slow

GROUPED = (2, 8)
"""The filters and taps of a group channel-wise convolution."""


def loaded(case: str, variant: str):
    """The network that the checkpoint of ``case`` was made for, and the case."""
    checkpoint = reference(case)
    network = edgevid.create_model(case.removesuffix("_plainstem"), variant=variant)
    return edgevid.load_weights(network, checkpoint.state).eval(), checkpoint


def distance(network, checkpoint) -> float:
    logits = network(checkpoint.clip[:, 0]).numpy().ravel()
    return float(np.abs(logits - checkpoint.logits).max() / checkpoint.logits.std())


@torch.no_grad()
def test_v1_meets_the_forward_pass_of_the_public_code():
    network, checkpoint = loaded("channelnet_v1", "official")
    assert distance(network, checkpoint) < 2e-5
    # Padded as PyTorch does, the first convolution makes another network of it: the comparison can fail.
    network.stem[0].forward = lambda x: functional.conv2d(x, network.stem[0].weight, None, 2, padding=1)
    assert distance(network, checkpoint) > 1e-2


@torch.no_grad()
@pytest.mark.parametrize("variant", ["plainstem", "paper"])
def test_v1_without_concatenations_meets_its_forward_pass_too(variant):
    assert distance(*loaded("channelnet_v1_plainstem", variant)) < 2e-5


@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize(("suffix", "variant"), [("", "official"), ("_plainstem", "plainstem")])
def test_the_checkpoints_of_v2_and_v3_fill_every_parameter(version, suffix, variant):
    network, checkpoint = loaded(f"channelnet_{version}{suffix}", variant)
    filled = sum(tensor.numel() for name, tensor in checkpoint.state.items() if "running_" not in name)
    assert filled == sum(parameter.numel() for parameter in network.parameters())
    theirs = checkpoint.state["conv_3_1/conv2/conv1d/conv1d/kernel"]
    assert torch.equal(network.high[1].pixelwise.weight, theirs)


def test_a_checkpoint_of_the_code_is_refused_by_the_network_of_the_paper():
    with pytest.raises(WeightsError, match=r"channelwise\.weight is missing"):
        loaded("channelnet_v2_plainstem", "paper")


@pytest.mark.parametrize(
    ("model", "options", "parameters", "macs"),
    [
        ("channelnet_v1", {"variant": "official"}, 3_875_112, 534_971_904),
        ("channelnet_v2", {"variant": "official"}, 2_978_152, 640_943_616),
        ("channelnet_v3", {"variant": "official"}, 1_963_593, 641_596_200),
        ("channelnet_v1", {"variant": "plainstem"}, 3_703_432, 468_488_704),
        ("channelnet_v2", {"variant": "plainstem"}, 2_806_472, 574_460_416),
        ("channelnet_v3", {"variant": "plainstem"}, 1_791_913, 575_113_000),
        ("channelnet_v1", {}, 3_703_432, 468_488_704),
        ("channelnet_v2", {}, 2_652_872, 420_319_744),
        ("channelnet_v3", {}, 1_638_313, 420_972_328),
        ("channelnet_v3", {"classifier": "separable"}, 1_678_073, 419_370_920),
        ("channelnet_v3", {"classifier": "unshared"}, 1_652_872, 419_320_744),
    ],
)
def test_parameters_and_macs_are_those_of_the_source(model, options, parameters, macs):
    measured = measure(model, **options)
    assert (measured.parameters, measured.macs) == (parameters, macs)


@pytest.mark.parametrize(
    ("classifier", "last"),
    [("volume", (1, 25 * SIDE**2)), ("unshared", (1, 25, 1000))],
)
def test_every_filter_along_the_channels_is_one_node_and_a_kernel_takes_it(classifier, last, tmp_path):
    network = edgevid.create_model("channelnet_v3", classifier=classifier)
    bundle = edgevid.export(network, output=tmp_path / classifier)
    graph = onnx.load(bundle.path / "model.edgevid.onnx", load_external_data=False).graph
    shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in ("ChannelConv", "UnsharedChannelConv")]
    assert [shapes[node.input[1]] for node in nodes] == [GROUPED, GROUPED, (1, 64), last]
    receipt = edgevid.open(bundle.path).op_coverage
    assert [(op.kernel, op.reason) for op in receipt] == [(node.op_type, "") for node in nodes]


@pytest.mark.parametrize(("length", "pads"), [(224, (0, 1)), (7, (1, 1)), (8, (0, 1)), (1, (1, 1))])
def test_a_strided_convolution_is_padded_as_tensorflow_does(length, pads):
    assert same_pads(length, 3, 2) == pads


def test_channel_filters_of_even_length_get_the_odd_zero_after():
    assert same_pads(512, 8, 2) == (3, 3)
    assert same_pads(1024, 64) == (31, 32)


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 7), (6, 6), (5, 5)])
def test_same_convolution_pads_each_side_by_itself(size):
    conv = SameConv2d(2, 3, 3, stride=2)
    x = torch.randn(1, 2, *size)
    (top, bottom), (left, right) = (same_pads(length, 3, 2) for length in size)
    padded = functional.pad(x, (left, right, top, bottom))
    expected = functional.conv2d(padded, conv.weight, stride=2)
    assert expected.shape[2:] == tuple(-(-length // 2) for length in size)
    torch.testing.assert_close(conv(x), expected)


@torch.no_grad()
def test_a_group_reads_only_its_own_channels_unless_they_were_mixed():
    x, changed = torch.randn(1, 512, 4, 4), torch.zeros(1, 512, 4, 4)
    changed[:, :256] = x[:, :256]
    alone, mixed = (
        GroupModule(mixed=False, shortcut=False).eval(),
        GroupModule(mixed=True, shortcut=False).eval(),
    )
    torch.testing.assert_close(alone(x)[:, :256], alone(changed)[:, :256])
    assert not torch.allclose(mixed(x)[:, :256], mixed(changed)[:, :256])


@torch.no_grad()
def test_the_pixelwise_convolution_treats_pixels_as_channels():
    layer = DepthwiseSeparablePixelwise()
    x = torch.randn(1, 1024, SIDE, SIDE)
    pixels = functional.pad(layer.depthwise(x).flatten(2)[0], (0, 0, 31, 32))
    expected = torch.stack(
        [torch.einsum("lp,opl->o", pixels[c : c + 64], layer.pixelwise.weight) for c in (0, 500)]
    )
    torch.testing.assert_close(layer(x).flatten(2)[0, [0, 500]], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_classification_layer_is_a_convolution_in_three_dimensions():
    layer = VolumeConv(channels=20, classes=12)
    x = torch.randn(2, 20, SIDE, SIDE)
    volume = layer.filter.weight.reshape(1, 1, 9, SIDE, SIDE)
    expected = functional.conv3d(layer.depthwise(x)[:, None], volume).reshape(2, 12)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_its_separable_form_has_a_separate_filter_per_channel():
    layer = SeparableConv(channels=20, classes=12)
    x = torch.randn(2, 20, SIDE, SIDE)
    pooled = (x * layer.depthwise.weight[None, :, 0]).sum((2, 3))
    expected = functional.conv1d(pooled[:, None], layer.filter.weight[:, None])[:, 0]
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classifier", ["volume", "separable"])
def test_a_filter_over_all_pixels_takes_images_of_one_size(classifier):
    network = edgevid.create_model("channelnet_v3", classifier=classifier).eval()
    with pytest.raises(ValueError, match="7x7 pixels of a 224x224 image, not 6x6"):
        network(torch.zeros(1, 3, 192, 192))


def test_more_classes_than_channels_are_refused():
    with pytest.raises(EdgevidError, match="at most 1024 classes, not 1025"):
        edgevid.create_model("channelnet_v3", num_classes=1025)


@pytest.mark.parametrize("options", [{"variant": "mine"}, {"classifier": "dense"}])
def test_an_unknown_variant_or_classifier_is_refused_with_the_known_ones(options):
    with pytest.raises(EdgevidError, match=r"official.* linear, volume, separable, unshared"):
        edgevid.create_model("channelnet_v1", **options)
