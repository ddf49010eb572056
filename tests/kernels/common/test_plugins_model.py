"""The model with plugins has the nodes that TensorRT's parser looks for, and computes what PyTorch does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from edgevid.backends.tensorrt import backend as tensorrt
from edgevid.backends.tensorrt import plugins as trt_plugins
from edgevid.errors import ParityError
from edgevid.kernels.common.cuda.compile import FOLDER
from edgevid.specs import PassReport

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")

import edgevid  # noqa: E402
from edgevid.zoo.layers.channel_conv import ChannelConv, UnsharedChannelConv  # noqa: E402
from edgevid.zoo.layers.shift import TemporalShift  # noqa: E402
from edgevid.zoo.layers.temporal_conv import TemporalConv  # noqa: E402

SOURCES = FOLDER.parents[1]
FRAMES, SIZE = 3, 32


class Network(torch.nn.Module):
    """Every op with a plugin, and one without."""

    def __init__(self, direction: str) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3, stride=8)
        self.shift = TemporalShift(direction, shift_div=4)
        self.over_time = TemporalConv(16, direction=direction, bias=True)
        self.along_channels = ChannelConv(2, 8, stride=2, pads=(3, 3))
        self.head = UnsharedChannelConv(1, 12, 5)
        torch.nn.init.normal_(self.over_time.weight)
        torch.nn.init.normal_(self.over_time.bias)

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)

    def frame_logits(self, clip):
        frames = clip.shape[1]
        x = self.stem(clip.flatten(0, 1)).relu()
        x = self.over_time(self.shift(x, frames), frames)
        x = self.along_channels(x).relu().mean((2, 3), keepdim=True)
        return self.head(x).flatten(1).unflatten(0, (-1, frames))


class Stop(Exception):
    """Ends an export at the start of the backend."""


@pytest.fixture
def backend_input(tmp_path, monkeypatch):
    """The input of the backend for a network: its graph and its job."""

    def export(network, **options):
        calls = []

        def compile(graph, job, folder):
            calls.append((graph, job))
            raise Stop

        monkeypatch.setattr(tensorrt, "compile", compile)
        torch.manual_seed(0)
        options = {"frames": FRAMES, "size": SIZE, "target": "jetson", **options}
        with pytest.raises(Stop):
            edgevid.export(network, output=tmp_path / "bundle", **options)
        return calls[0]

    return export


def nodes_of(path: Path) -> dict[str, onnx.NodeProto]:
    model = onnx.load(path)
    assert not model.functions
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": 13, "edgevid": 1}
    nodes = {node.op_type: node for node in model.graph.node if node.domain == "edgevid"}
    # The tracer registered the attributes of edgevid's ops with onnx, without TensorRT's.
    model_without_plugin_attributes = onnx.load(path)
    for node in model_without_plugin_attributes.graph.node:
        for attribute in [a for a in node.attribute if a.name.startswith("plugin_")]:
            node.attribute.remove(attribute)
    onnx.checker.check_model(model_without_plugin_attributes)
    return nodes


def test_a_clip_network_with_plugins(backend_input, tmp_path):
    graph, job = backend_input(Network("bidirectional"))
    (sentence,) = trt_plugins.write_plugin_models(graph, job, tmp_path, ("fp16", "fp32"))
    assert "on the device" in sentence
    for name in ("model_fp32.plugin.onnx", "model_fp16.plugin.onnx"):
        nodes = nodes_of(tmp_path / name)
        assert set(nodes) == {"TemporalShift", "TemporalConv", "ChannelConv"}  # not UnsharedChannelConv
        for node in nodes.values():
            attributes = {
                attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute
            }
            assert attributes.pop("plugin_version") == b"1"
            assert attributes.pop("plugin_namespace") == b"edgevid"
            assert set(attributes) == fields_of(node.op_type)
            assert all(isinstance(value, int) for value in attributes.values())
            assert all(node.input)
    assert typed_outputs(tmp_path / "model_fp16.plugin.onnx") == {onnx.TensorProto.FLOAT}


def fields_of(op_type: str) -> set[str]:
    """The attributes that the plugin reads, from its source."""
    folder = "_".join(re.findall("[A-Z][a-z]+", op_type.removesuffix("Step"))).lower()
    source = (SOURCES / folder / "tensorrt_plugin.cu").read_text()
    structure = source.split(f"struct {op_type} {{")[1].split("static bool")[0]
    return set(re.findall('"([a-z_]+)"', structure.split("attribute(int")[1]))


def typed_outputs(path: Path) -> set[int]:
    return {output.type.tensor_type.elem_type for output in onnx.load(path).graph.output}


def test_an_op_without_a_plugin_is_lowered_in_the_file_too(backend_input, monkeypatch):
    """Lowering visits every op of ``OPS``, except the nodes of plugins."""
    from edgevid.ops import OPS

    lowered_nodes = []
    for op in OPS.values():
        monkeypatch.setitem(
            OPS._entries, op.name, replace(op, lower=lambda node, *_: lowered_nodes.append(node))
        )
    graph, _ = backend_input(Network("bidirectional"))
    assert trt_plugins.to_plugin_nodes(graph).matched == 3
    assert [node.op_type for node in lowered_nodes] == ["UnsharedChannelConv"]


def test_every_op_is_among_the_kernels_of_a_manifest():
    from edgevid.ops import OPS

    reports = [PassReport(f"lower_{op.snake_name}", 2) for op in OPS.values()]
    kernels = tensorrt._kernels(reports, {})
    assert [kernel.partition(" (")[0] for kernel in kernels] == list(OPS)


def test_a_streamed_network_with_plugins(backend_input, tmp_path):
    graph, job = backend_input(Network("causal"), stream=True)
    trt_plugins.write_plugin_models(graph, job, tmp_path, ("fp32",))
    nodes = nodes_of(tmp_path / "model_fp32.plugin.onnx")
    assert set(nodes) == {"TemporalShiftStep", "TemporalConvStep", "ChannelConv"}
    assert len(nodes["TemporalShiftStep"].output) == 2


def test_a_network_of_the_zoo_with_plugins(backend_input, tmp_path):
    graph, job = backend_input("tsm_mbv2", frames=2, size=32, classes=3)
    assert trt_plugins.to_plugin_nodes(graph).matched == 10
    assert trt_plugins.check(graph, job, "fp32") < 1e-4


def test_a_network_without_such_ops_gets_no_plugins(backend_input, tmp_path):
    graph, job = backend_input("tsn_mbv2", frames=2, size=32, classes=3)
    assert trt_plugins.write_plugin_models(graph, job, tmp_path, ("fp32",)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_node_with_another_attribute_is_found(backend_input):
    """The check can fail: a shift in the other direction is another network."""
    graph, job = backend_input(Network("bidirectional"))
    trt_plugins.to_plugin_nodes(graph)
    (shift,) = [node for node in trt_plugins.plugin_nodes(graph) if node.op_type == "TemporalShift"]
    for name in ("first", "second"):
        shift.attributes[name] = ir.AttrInt64(name, -shift.attributes[name].as_int())
    with pytest.raises(ParityError, match="does not compute what PyTorch does"):
        trt_plugins.check(graph, job, "fp32")


def test_the_check_looks_at_what_is_expected(backend_input):
    graph, job = backend_input(Network("bidirectional"))
    trt_plugins.to_plugin_nodes(graph)
    wrong = replace(job, expected={name: array * 1.01 for name, array in job.expected.items()})
    with pytest.raises(ParityError):
        trt_plugins.check(graph, wrong, "fp32")


def test_the_sources_of_a_bundle_are_all_that_the_plugins_include(tmp_path):
    folder = trt_plugins.write_plugins(tmp_path)
    assert (folder / "Makefile").read_text() == (SOURCES / "common/tensorrt/Makefile").read_text()
    headers = set()
    for source in [path for path in folder.rglob("*") if path.suffix in (".cu", ".cuh", ".h")]:
        for name in re.findall('#include "(.+)"', source.read_text()):
            if name != "host.h":  # of the emulation
                headers.add((source.parent / name).resolve())
    assert headers
    assert all(path.is_file() for path in headers)
