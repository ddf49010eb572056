"""Networks outside the zoo compute on every backend what PyTorch does."""

from __future__ import annotations

import functools
import json
import shutil

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")

from foreign_networks import NETWORKS, foreign_network  # noqa: E402
from one_video import write_videos  # noqa: E402

import edgevid  # noqa: E402
from edgevid import parity  # noqa: E402
from edgevid.backends.tensorrt.versions import NEW_OPSETS, Version, check_target, requirement_of  # noqa: E402
from edgevid.backends.tvm import toolchain  # noqa: E402
from edgevid.exporter.trace import trace  # noqa: E402
from edgevid.passes import LOWERING, STANDARD, run_passes  # noqa: E402
from edgevid.passes.quantize.quantize import moved_inputs  # noqa: E402
from edgevid.passes.to_fp16 import to_fp16  # noqa: E402
from edgevid.passes.to_opset_13 import to_opset_13  # noqa: E402
from edgevid.specs import LOCAL_TOLERANCE, TOLERANCE  # noqa: E402

FRAMES, SIZE = 4, 32
CLIP = np.random.default_rng(0).standard_normal((1, FRAMES, 3, SIZE, SIZE), dtype=np.float32)


@functools.cache
def _traced(name: str) -> tuple[ir.Model, np.ndarray]:
    network = foreign_network(name)
    graph = trace(network, torch.zeros(CLIP.shape))
    run_passes(graph, STANDARD)
    with torch.no_grad():
        return graph, network(torch.from_numpy(CLIP)).numpy()


def traced(name: str) -> tuple[ir.Model, dict[str, np.ndarray]]:
    """A graph to change, and the network's outputs for ``CLIP``."""
    graph, expected = _traced(name)
    return graph.clone(), {"logits": expected}


def run(graph: ir.Model) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model = ir.to_proto(graph).SerializeToString()
    return {"logits": onnxruntime.InferenceSession(model, options).run(None, {"clip": CLIP})[0]}


@pytest.mark.skipif(
    not any(map(shutil.which, toolchain.here().compilers)), reason="no C++ compiler to link with"
)
@pytest.mark.parametrize("name", NETWORKS)
def test_tvm_computes_it(name):
    tvm = pytest.importorskip("tvm", reason="TVM is not installed: pip install 'edgevid[tvm]'")
    from edgevid.backends.tvm.build import compile_module, import_graph

    graph, expected = traced(name)
    here = toolchain.here()
    module, _, _ = import_graph(graph, here.machine)
    machine = tvm.relax.VirtualMachine(compile_module(module, here), tvm.cpu())
    result = {"logits": machine["main"](tvm.runtime.tensor(CLIP))[0].numpy()}
    assert parity.compare(result, expected, TOLERANCE["fp32"]).ok
    assert not parity.compare({"logits": -result["logits"]}, expected, TOLERANCE["fp32"]).ok


def test_the_gpu_code_of_tvm_is_written_for_attention_and_memory():
    pytest.importorskip("tvm", reason="TVM is not installed: pip install 'edgevid[tvm]'")
    from edgevid.backends.tvm import cuda

    for name in ("attention", "gru"):
        executable = cuda.compile_for_gpu(cuda.import_for_gpu(traced(name)[0]), "sm_87", toolchain.here())
        assert "__global__" in "".join(cuda.cuda_sources(executable))


@pytest.mark.parametrize("name", NETWORKS)
def test_for_tensorrt_8_everything_is_in_opset_13(name):
    graph, expected = traced(name)
    run_passes(graph, LOWERING)
    assert check_target(graph, "a board", "8.2").version == Version(8, 2)
    run_passes(graph, (to_opset_13,))
    onnx.checker.check_model(ir.to_proto(graph))
    assert requirement_of(graph).version == Version(8, 2), "nothing is left that 8.2 lacks"
    assert all("layout" not in node.attributes for node in graph.graph)
    assert parity.compare(run(graph), expected, TOLERANCE["fp32"]).ok
    run_passes(graph, (to_fp16,))
    assert parity.compare(run(graph), expected, TOLERANCE["fp16"]).ok


def test_tensorrt_10_keeps_the_norms_that_it_has(tmp_path):
    graph, _ = traced("attention")
    run_passes(graph, LOWERING)
    assert check_target(graph, "a board", "10.3").version == NEW_OPSETS
    bundle = edgevid.export(foreign_network("attention"), "jetson", tmp_path / "b", frames=FRAMES, size=SIZE)
    model = onnx.load(bundle.path / "model_fp16.onnx", load_external_data=False)
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("LayerNormalization") == 3
    assert "NEEDS=10.0" in (bundle.path / "bundle.env").read_text()
    assert bundle.manifest.parity.ok


def test_a_memory_is_exported_for_the_oldest_jetson_without_its_layout(tmp_path):
    bundle = edgevid.export(foreign_network("lstm"), "jetson-nano", tmp_path / "b", frames=FRAMES, size=SIZE)
    model = onnx.load(bundle.path / "model_fp32.onnx", load_external_data=False)
    memories = [node for node in model.graph.node if node.op_type == "LSTM"]
    assert len(memories) == 2
    assert all(attribute.name != "layout" for node in memories for attribute in node.attribute)
    assert [artefact.parity.ok for artefact in bundle.manifest.artefacts] == [True, True]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"), 2)


@pytest.mark.parametrize("name", ["lstm", "causal_volumes"])
def test_int8_takes_every_quantizable_op_and_leaves_the_rest_in_float(name, tmp_path, videos):
    options = {"precision": "int8", "calibration": videos, "frames": FRAMES, "size": SIZE}
    bundle = edgevid.export(foreign_network(name), output=tmp_path / "b", **options)
    assert bundle.manifest.parity.ok
    assert bundle.manifest.parity.local_error <= LOCAL_TOLERANCE
    assert bundle.manifest.calibration["float_layers"] == {}
    model = onnx.load(bundle.path / "model.int8.onnx")
    dequantized = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    quantizable = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    in_int8 = sum(node.input[1] in dequantized for node in quantizable)
    # Two convolutions of pooled features, in a gate, are too small to pay.
    assert (in_int8, len(quantizable)) == {"lstm": (2, 2), "causal_volumes": (3, 5)}[name]


def test_a_layer_that_int8_cannot_hold_stays_in_float_and_is_named(
    run_edgevid, tmp_path, videos, monkeypatch
):
    """One range is fifty times too wide, so that its readers lose precision."""
    from edgevid.exporter import calibration

    def too_wide(graph, *arguments):
        ranges = measure(graph, *arguments)
        value = next(node for node in graph.graph if node.meta.get("layer") == "depthwise").inputs[0]
        while moved_inputs(value.producer()):
            value = value.producer().inputs[0]
        low, high = ranges[value.name]
        return {**ranges, value.name: (50 * low, 50 * high)}

    measure = calibration.measure_ranges
    monkeypatch.setattr(calibration, "measure_ranges", too_wide)
    arguments = ["--precision", "int8", "--calibration", videos, "--frames", FRAMES, "--size", SIZE]
    result = run_edgevid(
        "export", "foreign_networks:CausalVolumes", *arguments, "-o", tmp_path / "b", "--json"
    )
    assert result.status == 0, result.err
    in_float = json.loads(result.out)["float_layers"]
    assert list(in_float) == ["depthwise (Conv)"]
    assert "per-layer error is" in in_float["depthwise (Conv)"]
    assert edgevid.Bundle.open(tmp_path / "b").manifest.calibration["float_layers"] == in_float
    text = run_edgevid("inspect", tmp_path / "b").out
    assert "not in int8: depthwise (Conv) (its per-layer error is" in text
