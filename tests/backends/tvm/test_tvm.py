"""A TVM library computes what PyTorch does, streams, and is refused with a reason where it cannot run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from one_bundle import changed_bytes_are_noticed
from torch.nn import functional

import edgevid
from edgevid import parity
from edgevid.backends.protocol import OpenOptions
from edgevid.backends.tvm import backend as backend
from edgevid.backends.tvm import toolchain
from edgevid.errors import BackendError, ExportError
from edgevid.host.processor import usable_cores
from edgevid.ops import OPS
from edgevid.specs import Artefact

pytestmark = pytest.mark.slow

tvm = pytest.importorskip("tvm", reason="TVM is not installed: pip install 'edgevid[tvm]'")
HOST = toolchain.here()
if not any(map(shutil.which, HOST.compilers)):
    pytest.skip(f"no C++ compiler to link with: apt install {HOST.package}", allow_module_level=True)

OPTIONS = {"backend": "tvm", "frames": 2, "size": 64}
LIBRARY = Artefact(backend.MODEL, "fp32", "", "tvm")


@pytest.fixture(scope="module")
def tvm_bundle(exported):
    """Of three shifts; README's export for phones compiles a whole network, twice."""
    return exported("tiny_network:shifted_thrice", **OPTIONS, classes=None)


@pytest.fixture(scope="module")
def tvm_stream_bundle(exported):
    options = {**OPTIONS, "frames": 4}
    return exported("tiny_network:shifted_causal_thrice", **options, stream=True, classes=None)


def test_a_clip_gives_the_logits_of_pytorch(tvm_bundle):
    session = edgevid.open(tvm_bundle.path)
    clip, expected = parity.load(tvm_bundle.path)
    assert session.backend == "tvm"
    assert parity.compare(session.run(clip), expected, 1e-5).ok
    assert not parity.compare(session.run(-clip), expected, 1e-4).ok


def test_a_changed_byte_is_noticed_in_any_file(tvm_bundle, tmp_path):
    assert changed_bytes_are_noticed(tvm_bundle, tmp_path / "copy") == len(tvm_bundle.manifest.files) + 2


def test_inspect_tells_that_opening_runs_the_library(run_edgevid, tvm_bundle):
    assert "native code: model.so; opening this bundle runs it" in run_edgevid("inspect", tvm_bundle.path).out


def test_every_shift_is_inside_a_convolution(tvm_bundle):
    assert tvm_bundle.manifest.kernels == ("TemporalShift (inside the convolution, TVM) x3",)
    assert tvm_bundle.manifest.not_run == ()


def test_the_number_of_threads_changes_nothing(tvm_bundle):
    clip, _ = parity.load(tvm_bundle.path)
    sessions = [edgevid.open(tvm_bundle.path, threads=threads) for threads in (1, 2)]
    assert [session.threads for session in sessions] == [1, 2]
    results = [session.run(clip)["logits"] for session in (*sessions, sessions[0])]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


COUNT_THREADS = """
import os, sys, time
import edgevid

run = edgevid.open(sys.argv[1], threads=int(sys.argv[2])).prepare()
run()
time.sleep(2)  # a thread that is new, or was used, asks for work over and over before it rests
ticks = lambda task: sum(map(int, open(f"/proc/self/task/{task}/stat").read().rsplit(")")[1].split()[11:13]))
start = time.monotonic()
busy = set()
while len(busy) < int(sys.argv[2]) and time.monotonic() < start + 30:
    earlier = {task: ticks(task) for task in os.listdir("/proc/self/task")}
    for _ in range(20):
        run()
    busy |= {task for task, then in earlier.items() if ticks(task) > then}
print(len(busy))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux lists them")
@pytest.mark.skipif(usable_cores() < 2, reason="there is only one core")
def test_the_requested_number_of_threads_works(tvm_bundle):
    environment = {name: text for name, text in os.environ.items() if name != "TVM_NUM_THREADS"}
    command = [sys.executable, "-c", COUNT_THREADS, tvm_bundle.path]
    counts = [
        int(subprocess.run([*command, threads], env=environment, stdout=subprocess.PIPE, check=True).stdout)
        for threads in "12"
    ]
    assert counts == [1, 2]


MAIN_WITHOUT_TORCH = """
import sys
import edgevid.cli
try:
    edgevid.cli.main()
finally:
    assert "tvm" in sys.modules and "torch" not in sys.modules, "TVM's FFI imports PyTorch if it can"
"""


def test_it_runs_without_tvms_compiler_and_without_pytorch(tvm_bundle):
    """As on a device that sets ``TVM_USE_RUNTIME_LIB=1``."""
    environment = {**os.environ, "TVM_USE_RUNTIME_LIB": "1"}
    command = [sys.executable, "-c", MAIN_WITHOUT_TORCH, "inspect", tvm_bundle.path, "--verify"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "model.so: equal to PyTorch" in result.stdout


def test_an_export_without_tvms_compiler_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TVM_USE_RUNTIME_LIB", "1")
    with pytest.raises(BackendError, match="unset it to export"):
        backend.compile(None, None, tmp_path)


def test_the_calling_thread_stays_free_to_run_on_any_core(tvm_bundle):
    cores = os.sched_getaffinity(0)
    edgevid.open(tvm_bundle.path, threads=2).prepare()()
    assert os.sched_getaffinity(0) == cores


def test_a_prepared_run_can_be_repeated(tvm_bundle):
    run = edgevid.open(tvm_bundle.path).prepare()
    assert run() is None
    assert run() is None


def test_frame_by_frame_equals_the_causal_clip(tvm_stream_bundle):
    stream = edgevid.open(tvm_stream_bundle.path).stream()
    clip, expected = parity.load(tvm_stream_bundle.path)
    logits = np.concatenate([stream.push(frame[None])["logits"] for frame in clip[0]])
    assert len(logits) == 4
    assert parity.compare({"logits": logits}, expected, 1e-5).ok
    stream.reset()
    np.testing.assert_array_equal(stream.push(clip[0][:1])["logits"], logits[:1])
    np.testing.assert_array_equal(stream.push(clip[0][1:2])["logits"], logits[1:2])


def test_the_states_of_a_stream_never_leave_tvm(tvm_stream_bundle, monkeypatch):
    session = edgevid.open(tvm_stream_bundle.path)
    stream, copies = session.stream(), []
    stream.push(np.zeros((1, 3, 64, 64), np.float32))
    monkeypatch.setattr(session._runner, "to_tensor", lambda array: copies.append(array))
    stream._stepper.step()
    assert len(session.manifest.states) == 3
    assert copies == []


def test_two_streams_of_a_session_do_not_share_states(tvm_stream_bundle):
    session = edgevid.open(tvm_stream_bundle.path)
    clip, _ = parity.load(tvm_stream_bundle.path)
    first, second = session.stream(), session.stream()
    logits = [first.push(frame[None])["logits"] for frame in clip[0]]
    first.reset()
    for frame, expected in zip(clip[0], logits):
        second.push(-frame[None])
        np.testing.assert_array_equal(first.push(frame[None])["logits"], expected)


class EveryOp(torch.nn.Module):
    """A clip ``(1, T, 3, H, W)`` through each temporal op, and through operators around them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3, 2, 1)
        self.shifted = torch.nn.Conv2d(16, 16, 1)
        self.stacked = torch.nn.Conv2d(48, 16, 3, 1, 1)
        self.depthwise = torch.nn.Conv2d(16, 16, 3, 2, 1, groups=16)
        self.over_time = torch.nn.Parameter(torch.randn(16, 3))
        self.over_channels = torch.nn.Parameter(torch.randn(3))
        self.classify = torch.nn.Linear(32, 5)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        op = {name: op.torch_op() for name, op in zip(OPS, OPS.values())}
        frames = clip.shape[1]
        x = functional.hardtanh(self.stem(clip.flatten(0, 1)), 0, 6)
        x = functional.relu(self.shifted(op["TemporalShift"](x, frames, 3, 1, -1)) + x)
        x = functional.leaky_relu(op["TemporalConv"](x, self.over_time, None, frames, False), 0.1)
        x = x * torch.sigmoid(op["TemporalDifference"](x, x, frames, False).mean((2, 3), keepdim=True))
        x = self.stacked(op["FrameStack"](x, frames, 3, -1, 1, 1))
        x = op["TemporalShift"](functional.max_pool2d(x, 3, 2, 1), frames, 2, 1, -1)
        x = torch.cat([self.depthwise(x), functional.avg_pool2d(x, 2)], 1)
        x = op["ChannelConv"](x, self.over_channels[None], None, 1, 1, 1)
        return self.classify(x.mean((2, 3))).unflatten(0, (-1, frames)).softmax(2).mean(1)


@pytest.mark.parametrize("kind", ["tvm_bundle", "tvm_stream_bundle"])
def test_a_profile_has_the_functions_that_run_and_the_macs_of_the_export(kind, request):
    bundle = request.getfixturevalue(kind)
    step, finish = edgevid.open(bundle.path, threads=1).profiler()
    for _ in range(3):
        step()
    profile = finish(1)
    assert sum(layer.macs for layer in profile.layers) == bundle.manifest.macs
    assert len({layer.name for layer in profile.layers}) == len(profile.layers) >= 8  # convolutions alone
    # A stream's first step is that of the frame that it is opened with.
    assert {len(layer.samples_ms) for layer in profile.layers} == {len(profile.runs_ms)}
    for number, (start, duration) in enumerate(profile.runs_ms):
        spans = [layer.spans_ms[number][0] for layer in profile.layers]
        assert all(start <= begin and begin + took <= start + duration for begin, took in spans)


@pytest.fixture(scope="module")
def every_op_bundle(export, tmp_path_factory):
    torch.manual_seed(0)
    return export(EveryOp().eval(), tmp_path_factory.mktemp("tvm") / "every_op", classes=None, **OPTIONS)


def test_every_kind_of_temporal_op_is_supported(every_op_bundle):
    assert every_op_bundle.manifest.parity.max_rel <= 1e-5
    assert every_op_bundle.manifest.kernels == (
        "ChannelConv (standard operators, TVM) x1",
        "FrameStack (inside the convolution, TVM) x1",
        "TemporalConv (TVM) x1",
        "TemporalDifference (standard operators, TVM) x1",
        "TemporalShift (inside the convolution, TVM) x1",
        "TemporalShift (standard operators, TVM) x1",
    )


def graph_of(op_type: str, shape: tuple[int, ...] = (1, 8, 4, 4), domain: str = "", **attributes) -> ir.Model:
    """A network of one operator with one input."""
    x = ir.Value(name="x", shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node(op_type, [x], attributes=attributes, domain=domain, name="the_node")
    y = node.outputs[0]
    y.name, y.shape, y.type = "y", x.shape, x.type
    return ir.Model(ir.Graph([x], [y], nodes=[node], opset_imports={"": 18}, name="one_node"), ir_version=9)


def test_an_unknown_operator_is_named_with_a_remedy():
    from edgevid.backends.tvm.build import import_graph

    graph = graph_of("Det")
    next(iter(graph.graph)).meta["layer"] = "head.volume"
    with pytest.raises(ExportError, match=r"TVM does not support head.volume \(Det\): use --backend"):
        import_graph(graph, HOST.machine)


def test_an_unsupported_variant_of_an_operator_is_refused_in_one_line(capfd):
    from edgevid.backends.tvm.build import import_graph

    graph = graph_of("Resize", mode="cubic")  # without the output size
    with pytest.raises(
        ExportError, match=r"does not support the_node \(Resize\) \(.*size.*\): use --backend"
    ):
        import_graph(graph, HOST.machine)
    assert capfd.readouterr().err == ""


def test_a_layer_that_tvm_cannot_compile_is_named(monkeypatch):
    from edgevid.backends.tvm import build

    def fails(module, device):
        if "sigmoid" in module.script():
            raise RuntimeError("a dump of the function\nit has no schedule")
        return compile_module(module, device)

    compile_module = build.compile_module
    monkeypatch.setattr(build, "compile_module", fails)
    graph = ir.from_proto(
        onnx.parser.parse_model("""
            <ir_version: 9, opset_import: ["" : 18]>
            network (float[1, 8] x) => (float[1, 8] y) { z = Tanh (x)  y = Sigmoid (z) }
        """)
    )
    first, second = graph.graph
    between, second.meta["layer"] = first.outputs[0], "gate"
    between.shape, between.type = ir.Shape((1, 8)), ir.TensorType(ir.DataType.FLOAT)
    error = build.layer_error(graph, HOST, RuntimeError("anything"))
    assert str(error) == "TVM does not support gate (Sigmoid) (it has no schedule): use --backend onnxruntime"


MOVES = {
    "parts": (
        "a, b, c = Split <axis = 1, num_outputs = 3> (x)  y = Concat <axis = 1> (c, a)",
        [6, 7, 0, 1, 2],
    ),
    "sizes": ("a, b = Split <axis = 1> (x, sizes)  y = Concat <axis = 1> (b, a)", [2, 3, 4, 5, 6, 7, 0, 1]),
    "gather": ("y = Gather <axis = 1> (x, places)", [7, 1]),
    "gather_nd": (
        "f = Transpose <perm = [1, 0, 2, 3]> (x)  g = GatherND (f, column)"
        "  y = Transpose <perm = [1, 0, 2, 3]> (g)",
        [7, 1],
    ),
    "slice": ("y = Slice (x, one, end, one, two)", [1, 3, 5, 7]),
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("after_convolution", [False, True])
def test_what_moves_channels_does_so_in_either_order(name, after_convolution):
    """After a convolution the channels are last; the graph has no shapes of the values between."""
    from edgevid.backends.tvm.build import compile_module, import_graph

    move, channels = MOVES[name]
    start = "z = Conv (given, w)  x = Relu (z)" if after_convolution else "x = Relu (given)"
    identity = ", ".join("1" if row == column else "0" for row in range(8) for column in range(8))
    text = f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (float[2, 8, 3, 5] given) => (float[2, {len(channels)}, 3, 5] y)
        <float[8, 8, 1, 1] w = {{{identity}}}, int64[2] sizes = {{2, 6}}, int64[2] places = {{-1, 1}},
         int64[2, 1] column = {{-1, 1}},
         int64[1] one = {{1}}, int64[1] end = {{99}}, int64[1] two = {{2}}> {{ {start} {move} }}
    """
    graph = ir.from_proto(onnx.parser.parse_model(text))
    x = np.abs(np.random.default_rng(0).standard_normal((2, 8, 3, 5), dtype=np.float32))
    for node in graph.graph:
        for value in node.outputs:
            if value.name in ("x", "z"):
                value.shape = ir.Shape(x.shape)
    module, _, _ = import_graph(graph, HOST.machine)
    machine = tvm.relax.VirtualMachine(compile_module(module, HOST), tvm.cpu())
    np.testing.assert_array_equal(machine["main"](tvm.runtime.tensor(x))[0].numpy(), x[:, channels])


@pytest.mark.parametrize("op_type", ["Relu", "Sigmoid", "Softmax"])
def test_an_operator_of_tvm_is_scheduled_and_correct(op_type):
    from edgevid.backends.tvm.build import compile_module, import_graph

    module, _, _ = import_graph(graph_of(op_type, (3, 8, 5, 32)), HOST.machine)
    machine = tvm.relax.VirtualMachine(compile_module(module, HOST), tvm.cpu())
    x = np.random.default_rng(0).standard_normal((3, 8, 5, 32), dtype=np.float32)
    power = np.exp(x)
    expected = {
        "Relu": np.maximum(x, 0),
        "Sigmoid": power / (1 + power),
        "Softmax": power / power.sum(-1, keepdims=True),
    }
    np.testing.assert_allclose(
        machine["main"](tvm.runtime.tensor(x))[0].numpy(), expected[op_type], atol=1e-6
    )


def test_a_library_for_another_processor_is_checked_here_and_refused(export, tmp_path, monkeypatch):
    """The processor only claims to be another one, whose linker may not be installed."""
    monkeypatch.setattr(toolchain, "ARM64_LINUX", replace(HOST, architecture="another"))
    flatten = torch.nn.Flatten
    layers = flatten(0, 1), torch.nn.Conv2d(3, 16, 3), torch.nn.Unflatten(0, (1, 2)), flatten()
    network = torch.nn.Sequential(*layers)
    bundle = export(network.eval(), tmp_path / "board", target="raspberry-pi-5", classes=None, **OPTIONS)
    assert bundle.manifest.parity.max_rel <= 1e-5
    (not_run,) = bundle.manifest.not_run
    assert "raspberry-pi-5" in not_run
    assert f"compiled for {HOST.architecture}" in not_run
    with pytest.raises(BackendError, match=r"is for another, but this machine is .*run it on the device"):
        edgevid.open(bundle.path)


def test_a_missing_linker_is_named_with_its_package(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BackendError, match="apt install g"):
        toolchain.here().linker()


def change_description(bundle, folder, **changes):
    path = shutil.copytree(bundle.path, folder) / backend.MODEL
    description = path.with_name(backend.DESCRIPTION)
    description.write_text(json.dumps({**json.loads(description.read_text()), **changes}))
    return path


def test_a_processor_without_the_instructions_is_refused(tvm_bundle, tmp_path, monkeypatch):
    path = change_description(tvm_bundle, tmp_path / "wide", isa="avx512")
    monkeypatch.setattr(toolchain, "processor_flags", lambda: frozenset({"avx2", "fma"}))
    with pytest.raises(BackendError, match=r"needs a processor with avx512bw.*export it again"):
        backend.open_model(LIBRARY, path.parent, OpenOptions(1))


def test_a_library_that_is_damaged_is_refused_in_one_line(tvm_bundle, tmp_path):
    path = change_description(tvm_bundle, tmp_path / "damaged")
    path.write_bytes(b"not a library")
    with pytest.raises(BackendError, match="cannot open") as error:
        backend.open_model(LIBRARY, path.parent, OpenOptions(1))
    assert "\n" not in str(error.value)


def test_a_description_that_is_missing_is_refused(tvm_bundle, tmp_path):
    path = change_description(tvm_bundle, tmp_path / "alone")
    path.with_name(backend.DESCRIPTION).unlink()
    with pytest.raises(BackendError, match="export the bundle again"):
        backend.open_model(LIBRARY, path.parent, OpenOptions(1))


def test_without_tvm_the_message_has_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    assert not backend.available().ok
    assert "edgevid[tvm]" in backend.available().remedy
    with pytest.raises(BackendError, match=r"pip install 'edgevid\[tvm\]'"):
        backend.open_model(LIBRARY, tmp_path, OpenOptions(1))


def test_the_cores_of_this_process_are_used():
    assert usable_cores() >= 1
