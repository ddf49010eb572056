"""A temporal convolution without its stack of frames equals NumPy's, and networks use it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_kernel import ISAS, NONE, RELU, blocks_of, draw_block, relative_error

from edgevid.kernels.frame_stack_conv.reference import frame_stack
from edgevid.kernels.shift_conv.reference import from_blocks, pointwise, to_blocks, weights_to_blocks

pytestmark = pytest.mark.op_alone

# Channels, outputs, frames, clips, height, width, taps, first, dilation, residual, activation.
CASES = {
    "slow pathway": (256, 64, 4, 1, 14, 14, 3, -1, 1, False, RELU),
    "causal": (32, 48, 4, 2, 5, 7, 3, -2, 1, False, NONE),
    "five taps": (16, 32, 8, 1, 9, 3, 5, -2, 1, True, RELU),
    "dilated": (32, 16, 7, 1, 4, 4, 3, -2, 2, False, RELU),
    "one tap": (16, 16, 3, 1, 3, 3, 1, 0, 1, False, NONE),
    "one frame": (16, 16, 1, 2, 3, 3, 3, -1, 1, True, NONE),
    "nothing but beyond the clip": (16, 16, 2, 1, 3, 3, 2, 5, 1, False, NONE),
}


def error_of(run_op, block, case, threads=2, seed=0) -> float:
    channels, outputs, frames, clips, height, width, taps, first, dilation, residual, (low, high) = case
    random = np.random.default_rng(seed)
    x = random.standard_normal((frames * clips, channels, height, width), dtype=np.float32)
    weights = random.standard_normal((outputs, taps * channels, 1, 1), dtype=np.float32)
    bias = random.standard_normal(outputs, dtype=np.float32)
    extra = random.standard_normal((len(x), outputs, height, width), dtype=np.float32) if residual else None
    inputs = [to_blocks(x, block), weights_to_blocks(weights, block), bias]
    inputs.append(None if extra is None else to_blocks(extra, block))
    attributes = {"block": block, "frames": frames, "taps": taps, "first": first, "dilation": dilation}
    (y,) = run_op("FrameStackConv", inputs, threads=threads, **attributes, low=float(low), high=float(high))
    expected = pointwise(frame_stack(x, frames, taps, first, dilation), weights, bias, extra, low, high)
    return relative_error(from_blocks(y, block), expected)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("isa", ISAS)
def test_it_is_a_stack_and_a_convolution(run_op, use_isa, isa, case):
    use_isa(isa)
    for block in blocks_of(isa):
        assert error_of(run_op, block, CASES[case]) < 1e-5


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_shape(run_op, use_isa, data):
    block = draw_block(data, use_isa)
    channels, outputs = (block * data.draw(st.integers(1, 4)) for _ in range(2))
    sizes = [data.draw(st.integers(1, most)) for most in (6, 2, 9, 9)]
    taps, first, dilation = (data.draw(st.integers(*ends)) for ends in ((1, 5), (-6, 2), (1, 3)))
    options = data.draw(st.booleans()), data.draw(st.sampled_from((NONE, RELU)))
    case = (channels, outputs, *sizes, taps, first, dilation, *options)
    assert error_of(run_op, block, case, data.draw(st.integers(1, 2)), data.draw(st.integers(0, 99))) < 1e-5


@pytest.mark.parametrize(
    ("change", "words"),
    [({"frames": 2}, "not whole clips"), ({"taps": 2}, "taps \\* channels"), ({"dilation": 0}, "positive")],
)
def test_a_node_that_makes_no_sense_is_refused(run_op, change, words):
    x, weights = np.zeros((3, 16, 2, 2), np.float32), np.zeros((16, 48, 1, 1), np.float32)
    attributes = {"block": 16, "frames": 3, "taps": 3, "first": -1, "dilation": 1, "low": 0.0, "high": 6.0}
    with pytest.raises(Exception, match=words):
        run_op("FrameStackConv", [x, weights], **{**attributes, **change})


def make_network():
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):
        """A 3x1x1 convolution between two spatial ones, one that skips frames, and a classifier."""

        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Conv3d(3, 32, (1, 3, 3), padding=(0, 1, 1)),
                torch.nn.ReLU(),
                torch.nn.Conv3d(32, 48, (3, 1, 1), padding=(1, 0, 0)),
                torch.nn.ReLU(),
                torch.nn.Conv3d(48, 32, (1, 3, 3), padding=(0, 1, 1)),
                torch.nn.Conv3d(32, 16, (3, 1, 1), (2, 1, 1), padding=(1, 0, 0)),
            )
            self.classifier = torch.nn.Linear(16, 5)

        def forward(self, clip):
            return self.classifier(self.layers(clip.transpose(1, 2)).mean((2, 3, 4)))

    torch.manual_seed(0)
    return Network().eval()


def test_a_custom_network_uses_it(library, tmp_path):
    import edgevid
    from edgevid.backends.onnxruntime.specialize.nchwc import block_size

    torch = pytest.importorskip("torch")
    if block_size() is None:
        pytest.skip("ONNX Runtime has no blocked layout on this processor")
    network = make_network()
    bundle = edgevid.export(network, output=tmp_path / "bundle", frames=4, size=24)
    session = edgevid.open(bundle.path)
    clip = np.random.default_rng(1).standard_normal((1, 4, 3, 24, 24), dtype=np.float32)
    expected = network(torch.from_numpy(clip)).detach().numpy()
    logits = session.run(clip)["logits"]
    assert np.abs(logits - expected).max() < 1e-5 * np.abs(expected).max()
    first, second = session.op_coverage
    assert first.kernel.startswith("FrameStackConv")
    assert first.bytes_before > first.bytes_after == 0
    assert (second.kernel, second.reason) == (None, "it skips frames")
