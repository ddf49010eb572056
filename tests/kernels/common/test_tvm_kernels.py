"""The loops written for TVM compute what the NumPy references do, without copies."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.nn import functional

pytestmark = pytest.mark.slow

tvm = pytest.importorskip("tvm", reason="TVM is not installed: pip install 'edgevid[tvm]'")
from tvm import te, tirx  # noqa: E402
from tvm.s_tir.pipeline import default_s_tir_pipeline  # noqa: E402

from edgevid.kernels.common.tvm.conv import Conv, Frames, Source, conv_function, pack_weight  # noqa: E402
from edgevid.kernels.common.tvm.depthwise import depthwise_function, pack_depthwise_weight  # noqa: E402
from edgevid.kernels.common.tvm.emit import Epilogue  # noqa: E402
from edgevid.kernels.common.tvm.machine import MACHINES  # noqa: E402
from edgevid.kernels.shift_conv.tvm import shift_sources, step_sources  # noqa: E402
from edgevid.kernels.temporal_conv.reference import temporal_conv  # noqa: E402
from edgevid.kernels.temporal_conv.tvm import temporal_conv_function  # noqa: E402
from edgevid.kernels.temporal_shift.reference import temporal_shift  # noqa: E402
from edgevid.ops.temporal_shift import Shift  # noqa: E402

ANY = tvm.target.Target({"kind": "llvm"})
"""Vectors wider than the processor's are split by LLVM, so that each machine's loops run here."""
BOUND = 1e-5
PADDED = (1, 1, 1, 1)
CLIP_OF_4 = Frames(4)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def call(function, *arguments: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    name = function.attrs["global_symbol"]
    library = tvm.compile(tvm.IRModule({name: function}), target=ANY)
    result = tvm.runtime.tensor(np.full(shape, np.nan, np.float32))
    library[name](*(tvm.runtime.tensor(np.ascontiguousarray(array)) for array in arguments), result)
    return result.numpy()


def expected_output(
    conv: Conv, x: np.ndarray, weight: np.ndarray, bias: np.ndarray, residual=None
) -> np.ndarray:
    """PyTorch's output for ``x`` ``(N, C, H, W)``, with channels from all sources gathered."""
    top, left, bottom, right = conv.padding
    padded = functional.pad(torch.from_numpy(x), (left, right, top, bottom))
    y = functional.conv2d(
        padded, torch.from_numpy(weight), torch.from_numpy(bias), conv.strides, 0, conv.dilations, conv.groups
    )
    y = last(y.numpy()) + (0 if residual is None else residual)
    match conv.epilogue.activation:
        case ("relu",):
            return np.maximum(y, 0)
        case ("clip", low, high):
            return np.clip(y, low, high)
        case ("leaky", slope):
            return np.where(y > 0, y, y * slope)
    return y


def check(conv: Conv, x: np.ndarray, *tensors: np.ndarray, machine: str = "avx512") -> None:
    """``x`` ``(N, C, H, W)`` has all channels gathered; ``tensors`` are the arguments of the function."""
    machine = MACHINES[machine]
    scale = (conv.channels // conv.groups * conv.kernel[0] * conv.kernel[1]) ** -0.5
    weight = draw(conv.out_channels, conv.channels // conv.groups, *conv.kernel, seed=1) * np.float32(scale)
    bias = draw(conv.out_channels, seed=2)
    residual = [draw(*conv.y_shape, seed=3)] if conv.epilogue.residual else []
    arguments = [*tensors, pack_weight(weight, conv, machine), bias, *residual]
    output = call(conv_function("conv", conv, machine), *arguments, shape=conv.y_shape)
    reference = expected_output(conv, x, weight, bias, *residual)
    assert np.abs(output - reference).max() <= BOUND * np.abs(reference).max()


CONVOLUTIONS = {
    "pointwise": Conv((2, 8, 9, 16), 24, epilogue=Epilogue(True, ("relu",))),
    "one pixel": Conv((3, 1, 1, 33), 7),
    "3x3": Conv((2, 9, 15, 8), 48, (3, 3), padding=PADDED, epilogue=Epilogue(False, ("clip", 0.0, 6.0))),
    "strided": Conv(
        (2, 9, 11, 3), 32, (7, 7), (2, 2), (3, 3, 3, 3), epilogue=Epilogue(False, ("leaky", 0.1))
    ),
    "padded on one side": Conv((1, 6, 5, 4), 16, (2, 3), padding=(0, 2, 1, 0)),
    "dilated groups": Conv((2, 9, 7, 16), 24, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2), groups=4),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_computes_what_pytorch_does(name):
    conv = CONVOLUTIONS[name]
    x = draw(*conv.x_shape)
    check(conv, first(x), x)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_machine_has_its_own_tiles_and_the_same_result(machine):
    conv = Conv((4, 5, 7, 16), 48, (3, 3), padding=PADDED)
    x = draw(*conv.x_shape)
    check(conv, first(x), x, machine=machine)
    pixels, vectors, lanes = conv.tile(MACHINES[machine])
    assert lanes == MACHINES[machine].lanes
    assert pixels * vectors < MACHINES[machine].registers


@pytest.mark.parametrize("directions", [(1, -1), (-1, 1), (-1, 0)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_reads_its_channels_from_other_frames(directions, kernel):
    shift = Shift(4, 3, *directions)
    conv = Conv(
        (8, 5, 6, 16), 32, (kernel, kernel), padding=(kernel // 2,) * 4, sources=shift_sources(shift, 16),
        frames=CLIP_OF_4, epilogue=Epilogue(True, ("relu",)),
    )  # fmt: skip
    x = draw(*conv.x_shape)
    check(conv, temporal_shift(first(x), 4, 3, *directions), x)


def test_planar_input_is_read_without_a_copy():
    conv = Conv((2, 9, 11, 3), 16, (3, 3), (2, 2), PADDED, planar=True)
    x = draw(2, 3, 9, 11)
    check(conv, x, x)


def test_a_shift_in_the_other_direction_is_detected():
    conv = Conv((4, 3, 4, 16), 16, sources=shift_sources(Shift(4, 3, 1, -1), 16), frames=CLIP_OF_4)
    x = draw(*conv.x_shape)
    with pytest.raises(AssertionError):
        check(conv, temporal_shift(first(x), 4, 3, -1, 1), x)


def test_a_streaming_convolution_reads_the_state_in_place():
    conv = Conv((1, 7, 7, 32), 48, sources=step_sources(4, 32))
    x, state = draw(*conv.x_shape), draw(1, 4, 7, 7, seed=9)
    check(conv, np.concatenate([state, first(x)[:, 4:]], 1), x, state)


@pytest.mark.parametrize("stride", [1, 2])
def test_stacked_frames_are_read_in_place(stride):
    sources = tuple(Source(8 * tap, 8 * tap + 8, tap - 1) for tap in range(3))
    conv = Conv((8, 5, 6, 8), 16, (3, 3), padding=PADDED, sources=sources, frames=Frames(4, stride))
    x = draw(*conv.x_shape)
    clips = np.pad(first(x).reshape(2, 4, 8, 5, 6), ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    stacks = [clips[:, frame : frame + 3].reshape(2, 24, 5, 6) for frame in range(0, 4, stride)]
    check(conv, np.stack(stacks, 1).reshape(-1, 24, 5, 6), x)


@pytest.mark.parametrize(("stride", "size", "channels"), [(1, 9, 24), (2, 9, 32), (1, 2, 5)])
def test_a_depthwise_convolution_computes_what_pytorch_does(stride, size, channels):
    conv = Conv(
        (2, size, size + 1, channels), channels, (3, 3), (stride, stride), PADDED, groups=channels,
        epilogue=Epilogue(True, ("clip", 0.0, 6.0)),
    )  # fmt: skip
    x, weight, bias = draw(*conv.x_shape), draw(channels, 1, 3, 3, seed=1), draw(channels, seed=2)
    residual = draw(*conv.y_shape, seed=3)
    function = depthwise_function("depthwise", conv, MACHINES["avx512"])
    output = call(function, x, pack_depthwise_weight(weight), bias, residual, shape=conv.y_shape)
    np.testing.assert_allclose(output, expected_output(conv, first(x), weight, bias, residual), atol=BOUND)


@pytest.mark.parametrize("offsets", [(-1, 0, 1), (-2, -1, 0), (-2, -1, 0, 1, 2)])
def test_a_temporal_convolution_computes_what_the_reference_does(offsets):
    x, weight, bias = draw(8, 3, 4, 24), draw(24, len(offsets), seed=1), draw(24, seed=2)
    function = temporal_conv_function("over_time", x.shape, 4, offsets, MACHINES["avx512"])
    output = call(function, x, weight.T, bias, shape=x.shape)
    reference, _ = temporal_conv(first(x), weight, bias, frames=4, past=-offsets[0])
    np.testing.assert_allclose(output, last(reference), atol=BOUND)


def stores_and_allocations(function) -> tuple[set[str], list[int]]:
    """The names of the tensors that a function writes, and the sizes of those that it allocates."""
    module = tirx.transform.BindTarget(ANY.with_host(ANY))(tvm.IRModule({"main": function}))
    (body,) = (function_.body for function_ in default_s_tir_pipeline()[0](module).functions.values())
    stores, allocations = set(), []
    for statement in statements(body):
        if isinstance(statement, tirx.BufferStore):
            stores.add(statement.buffer.name)
        if isinstance(statement, tirx.AllocBuffer):
            allocations.append(int(np.prod([int(extent) for extent in statement.buffer.shape])))
    return stores, allocations


def statements(statement):
    yield statement
    parts = list(statement.seq) if isinstance(statement, tirx.SeqStmt) else []
    parts += [getattr(statement, name, None) for name in ("body", "then_case", "else_case", "block")]
    for part in parts:
        if part is not None:
            yield from statements(part)


@pytest.mark.parametrize("kind", ["bidirectional", "causal", "streamed", "over time"])
def test_no_shifted_tensor_is_left_in_the_lowered_function(kind):
    machine = MACHINES["avx512"]
    if kind == "over time":
        function = temporal_conv_function("f", (8, 14, 14, 64), 8, (-1, 0, 1), machine)
    else:
        shift = Shift(8, 8, *((1, -1) if kind == "bidirectional" else (-1, 0)))
        sources = step_sources(8, 64) if kind == "streamed" else shift_sources(shift, 64)
        frames = Frames() if kind == "streamed" else Frames(8)
        epilogue = Epilogue(True, ("relu",))
        function = conv_function(
            "f", Conv((8, 14, 14, 64), 64, sources=sources, frames=frames, epilogue=epilogue), machine
        )
    stores, allocations = stores_and_allocations(function)
    assert stores == {"sums", "y"}
    assert max(allocations) <= machine.registers * machine.lanes


def test_a_shift_by_a_copy_would_be_detected():
    x = te.placeholder((8, 64), name="x")
    shifted = te.compute((8, 64), lambda t, c: te.if_then_else(t < 7, x[t + 1, c], 0.0), name="shifted")
    channel = te.reduce_axis((0, 64), "c")
    y = te.compute((8,), lambda t: te.sum(shifted[t, channel], axis=channel), name="y")
    stores, allocations = stores_and_allocations(te.create_prim_func([x, y]).with_attr("global_symbol", "f"))
    assert "shifted" in stores
    assert max(allocations) >= 64


def test_the_loops_run_on_threads_and_in_vectors():
    conv = Conv((8, 14, 14, 64), 64, sources=shift_sources(Shift(8, 8), 64), frames=Frames(8))
    text = conv_function("f", conv, MACHINES["avx512"]).script()
    assert len(re.findall(r"T\.parallel\(", text)) == 1
    assert "T.Broadcast(" in text
    assert ":16]" in text
