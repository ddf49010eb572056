"""What a causal network sees of the past becomes states of its stream; what cannot is refused."""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgevid.errors import ExportError
from edgevid.exporter.trace import trace
from edgevid.passes import STANDARD, run_passes
from edgevid.passes.remove_no_ops import remove_no_ops
from edgevid.passes.streaming.to_streaming import to_streaming

pytestmark = pytest.mark.slow

FRAMES, LONGER, CHANNELS = 6, 11, 4


class Network(nn.Module):
    """Four channels of each frame, ``body`` over ``(N, T, C)``, logits of each frame."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, CHANNELS, 1), body
        self.head = nn.LazyLinear(3)

    def forward(self, clip):
        x = torch.relu(self.stem(clip.flatten(0, 1))).mean((2, 3)).unflatten(0, clip.shape[:2])
        return self.head(self.body(x))


class OverTime(nn.Module):
    """Layers over ``(N, C, T)``."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.tcn = nn.Sequential(*layers)

    def forward(self, x):
        return self.tcn(x.transpose(1, 2)).transpose(1, 2)


class Left(nn.Module):
    """A residual causal convolution that pads in front."""

    def __init__(self, taps, dilation=1, normalize=lambda layer: layer, mode="constant", **options):
        super().__init__()
        self.reach, self.mode = (taps - 1) * dilation, mode
        self.conv1 = normalize(nn.Conv1d(CHANNELS, CHANNELS, taps, dilation=dilation, **options))

    def forward(self, x):
        return x + torch.relu(self.conv1(functional.pad(x, (self.reach, 0), mode=self.mode)))


class Chomp(nn.Module):
    """The same padded on both sides, the end cut off again."""

    def __init__(self, taps, dilation=1, normalize=lambda layer: layer, **options):
        super().__init__()
        self.reach = (taps - 1) * dilation
        self.conv1 = normalize(
            nn.Conv1d(CHANNELS, CHANNELS, taps, padding=self.reach, dilation=dilation, **options)
        )
        self.norm, self.act = nn.BatchNorm1d(CHANNELS), nn.PReLU(CHANNELS)
        nn.init.uniform_(self.norm.running_mean)

    def forward(self, x):
        return x + self.act(self.norm(self.conv1(x)[..., : -self.reach]))


class Valid(nn.Module):
    """All padding in front of the first of two convolutions, residuals cropped."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (
            nn.Conv1d(CHANNELS, CHANNELS, 3),
            nn.Conv1d(CHANNELS, CHANNELS, 2, dilation=2),
        )

    def forward(self, x):
        x = functional.pad(x, (4, 0))
        x = torch.relu(self.first(x)) + x[:, :, 2:]
        return self.second(x) + x[:, :, 2:]


class Recurrent(nn.Module):
    def __init__(self, kind, first=None, **options):
        super().__init__()
        self.batch_first = options.get("batch_first", False)
        self.rnn = kind(CHANNELS, CHANNELS, **options)
        self.first = None if first is None else nn.Parameter(torch.randn(first, 1, CHANNELS))

    def forward(self, x):
        x = x if self.batch_first else x.transpose(0, 1)
        first = None if self.first is None else self.first.expand(-1, 1, -1).contiguous()
        if isinstance(self.rnn, nn.LSTM) and first is not None:
            first = (first, torch.zeros_like(first))
        y = self.rnn(x, first)[0]
        return y if self.batch_first else y.transpose(0, 1)


class Function(nn.Module):
    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(CHANNELS, 2, batch_first=True)

    def forward(self, x):
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return self.attend(x, x, x, attn_mask=later, need_weights=False)[0]


class Volumes(nn.Module):
    """Causal ``Conv3d`` of the clip itself."""

    def __init__(self, taps):
        super().__init__()
        self.front = (0, 0, 0, 0, taps - 1, 0)
        self.first, self.norm = nn.Conv3d(3, 4, (taps, 3, 3), stride=(1, 2, 2)), nn.BatchNorm3d(4)
        self.second, self.head = nn.Conv3d(4, 4, (taps, 1, 1), groups=4), nn.Linear(4, 3)

    def forward(self, clip):
        x = torch.relu(self.norm(self.first(functional.pad(clip.transpose(1, 2), self.front))))
        x = self.second(functional.pad(x, self.front)).mean((3, 4))
        return self.head(x.transpose(1, 2))


class Rows(nn.Module):
    """A recurrent layer over the rows of each frame, both ways, and one over time."""

    def __init__(self):
        super().__init__()
        self.rows, self.time = nn.GRU(3, 4, batch_first=True, bidirectional=True), nn.GRU(8, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, clip):
        rows = clip.mean(-1).flatten(0, 1).transpose(1, 2)
        x = self.rows(rows)[0][:, -1].unflatten(0, clip.shape[:2])
        return self.head(self.time(x.transpose(0, 1))[0]).transpose(0, 1)


def so_far(x, axis):
    return torch.arange(1, x.shape[axis] + 1).view([-1 if place == axis else 1 for place in range(x.ndim)])


def assigned(layer, x):
    y = x.clone()
    y[:, 2:] = y[:, 2:] + x[:, :-2]
    return y * 2


def looped(layer, x):
    state, states = x.new_zeros(1, CHANNELS), []
    for frame in range(x.shape[1]):
        state = layer.cell(x[:, frame], state)
        states.append(state)
    return torch.stack(states, 1)


def differences(layer, x):
    return torch.cat((torch.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]), 1)


def convolved_differences(layer, x):
    x = functional.pad(x[:, 2:] - x[:, :-2], (0, 0, 2, 0)).transpose(1, 2)
    return layer.conv(functional.pad(x, (2, 0))).transpose(1, 2)


old_weight_norm, new_weight_norm = nn.utils.weight_norm, nn.utils.parametrizations.weight_norm

STREAMS = {
    "left padding": (lambda: OverTime(Left(3), Left(2, 3), Left(7)), 3),
    "left padding, weight norm": (
        lambda: OverTime(Left(3, 1, new_weight_norm), Left(3, 2, old_weight_norm)),
        2,
    ),
    "chomp": (lambda: OverTime(Chomp(3), Chomp(3, 2, groups=CHANNELS), Chomp(4, groups=2)), 3),
    "chomp, weight norm": (lambda: OverTime(Chomp(3, 1, old_weight_norm), Chomp(2, 4, new_weight_norm)), 2),
    "repeated first frame": (lambda: OverTime(Left(3, 2, mode="replicate"), Left(2)), 3),
    "padding of another number": (lambda: OverTime(nn.ConstantPad1d((4, 0), 0.5), nn.Conv1d(4, 4, 5)), 2),
    "padding far in front": (lambda: OverTime(Valid()), 3),
    "average of three": (lambda: OverTime(nn.ConstantPad1d((2, 0), 0), nn.AvgPool1d(3, 1)), 1),
    "largest of three": (lambda: OverTime(nn.ConstantPad1d((2, 0), 0), nn.MaxPool1d(3, 1)), 1),
    "gru": (lambda: Recurrent(nn.GRU, batch_first=True), 1),
    "gru of two layers": (lambda: Recurrent(nn.GRU, num_layers=2), 2),
    "lstm of two layers": (lambda: Recurrent(nn.LSTM, num_layers=2, batch_first=True), 4),
    "rnn": (lambda: Recurrent(nn.RNN, num_layers=2), 2),
    "gru with a learned start": (lambda: Recurrent(nn.GRU, first=2, num_layers=2, batch_first=True), 3),
    "lstm with a learned start": (lambda: Recurrent(nn.LSTM, first=1), 3),
    "sum so far": (lambda: Function(lambda layer, x: x.cumsum(1)), 1),
    "mean so far": (lambda: Function(lambda layer, x: x.cumsum(1) / so_far(x, 1)), 2),
    "mean so far, by a product": (lambda: Function(lambda layer, x: x.cumsum(1) * (1.0 / so_far(x, 1))), 2),
    "counted frames": (lambda: Function(lambda layer, x: x.cumsum(1) + 0.25 * so_far(x, 1)), 2),
    "difference to the last": (lambda: Function(lambda layer, x: x - functional.pad(x, (0, 0, 1, -1))), 1),
    "differences behind zeros": (lambda: Function(differences), 2),
    "convolved differences": (lambda: Function(convolved_differences, conv=nn.Conv1d(4, 4, 3)), 3),
    "assigned frames": (lambda: Function(assigned), 2),
    "windows": (
        lambda: Function(lambda layer, x: functional.pad(x, (0, 0, 2, 0)).unfold(1, 3, 1).mean(-1)),
        1,
    ),
    "einsum": (
        lambda: Function(
            lambda layer, x: torch.einsum("ntc,dc->ntd", x.cumsum(1), layer.table),
            table=nn.Parameter(torch.randn(4, 4)),
        ),
        1,
    ),
    "layer norm of each frame": (lambda: Function(lambda layer, x: layer.norm(x), norm=nn.LayerNorm(4)), 0),
}

REFUSED = {
    "both ways": (lambda: Recurrent(nn.GRU, bidirectional=True), r"body\.rnn \(GRU\) is bidirectional"),
    "centered": (
        lambda: OverTime(nn.Conv1d(4, 4, 3, padding=1)),
        r"future.*body\.tcn\.0 \(Conv\) reads the next frame",
    ),
    "wrapped around": (
        lambda: OverTime(Left(3, mode="circular")),
        r"body\.tcn\.0 \(Pad\) pads the clip by mode 'wrap'",
    ),
    "attention": (Attention, r"body\.attend \(MatMul\) compares every frame with every other \(attention\)"),
    "attention by einsum": (
        lambda: Function(lambda layer, x: torch.einsum("nqc,nkc->nqk", x, x) @ x),
        r"body \(Einsum\) compares every frame with every other",
    ),
    "mean": (
        lambda: Function(lambda layer, x: x - x.mean(1, keepdim=True)),
        r"body \(ReduceMean\) takes the mean over all",
    ),
    "softmax": (lambda: Function(lambda layer, x: x * x.softmax(1)), r"body \(Softmax\)"),
    "norm over time": (
        lambda: OverTime(nn.GroupNorm(2, 4)),
        r"body\.tcn\.0 \(InstanceNormalization\) normalizes over all",
    ),
    "layer norm over time": (
        lambda: OverTime(nn.LayerNorm(FRAMES)),
        r"body\.tcn\.0 \(LayerNormalization\) normalizes",
    ),
    "linear over time": (
        lambda: OverTime(nn.Linear(FRAMES, FRAMES)),
        r"body\.tcn\.0 \(MatMul\) mixes all frames",
    ),
    "frames as channels": (
        lambda: Function(lambda layer, x: layer.conv(x), conv=nn.Conv1d(FRAMES, FRAMES, 1)),
        r"body\.conv \(Conv\) treats frames as channels",
    ),
    "stride": (
        lambda: OverTime(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(4, 4, 3, stride=2)),
        r"body\.tcn\.1 \(Conv\) has a stride of 2 over time",
    ),
    "backwards": (lambda: Function(lambda layer, x: x.flip(1)), r"body \(Slice\) reads the frames backwards"),
    "last frame": (lambda: Function(lambda layer, x: x + x[:, -1:]), r"body \(Add\) combines frames with"),
    "last state": (
        lambda: Function(
            lambda layer, x: x + layer.rnn(x)[1].transpose(0, 1), rnn=nn.GRU(4, 4, batch_first=True)
        ),
        r"body\.rnn \(GRU\) returns its state after the last frame",
    ),
    "positions": (
        lambda: Function(lambda layer, x: x + layer.table, table=nn.Parameter(torch.randn(1, FRAMES, 4))),
        r"body \(Add\) has another constant for each of the 6 frames",
    ),
    "loop": (
        lambda: Function(looped, cell=nn.GRUCell(4, 4)),
        r"body \(Gather\) takes only frame 0 of the clip \(a loop over frames\? .* nn\.GRU",
    ),
    "groups of frames": (
        lambda: Function(lambda layer, x: x.unflatten(1, (2, -1)).softmax(2).flatten(1, 2)),
        r"body \(Reshape\) divides the frames of a clip into groups",
    ),
}


def built(body) -> nn.Module:
    torch.manual_seed(0)
    network = body if isinstance(body, (Volumes, Rows)) else Network(body)
    with torch.no_grad():
        network.eval()(torch.zeros(1, FRAMES, 3, 5, 5))
    return network


def streamed(network: nn.Module):
    """Push frames into the network's graph of one frame: a function from frames to rows, and the states."""
    graph = trace(network, torch.zeros(1, FRAMES, 3, 5, 5))
    run_passes(graph, STANDARD)
    _, states = to_streaming(graph)
    run_passes(graph, (remove_no_ops,))
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    assert [value.name for value in session.get_inputs()] == ["frame", *(state.input for state in states)]
    assert [value.name for value in session.get_outputs()] == ["logits", *(state.output for state in states)]

    def push(frames: np.ndarray) -> np.ndarray:
        memory = {state.input: np.zeros(state.shape, state.dtype) for state in states}
        rows = []
        for frame in frames:
            row, *after = session.run(None, {"frame": frame[None], **memory})
            assert [array.shape for array in after] == [state.shape for state in states]
            memory = dict(zip(memory, after))
            rows.append(row)
        return np.concatenate(rows)

    return push, states


def assert_streams_as_it_sees_a_clip(network: nn.Module, clip: np.ndarray):
    push, states = streamed(network)
    with torch.no_grad():
        expected = network(torch.from_numpy(clip))[0].numpy()
    np.testing.assert_allclose(push(clip[0]), expected, rtol=1e-4, atol=1e-5)
    return states


@pytest.fixture
def clip():
    return np.random.default_rng(1).standard_normal((1, LONGER, 3, 5, 5), dtype=np.float32)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("name", STREAMS)
def test_a_causal_network_streams_as_it_sees_a_longer_clip(name, clip):
    make, states = STREAMS[name]
    network = built(make())
    assert len(assert_streams_as_it_sees_a_clip(network, clip)) == states
    changed = clip.copy()
    changed[:, :-1] += 1
    with torch.no_grad():
        outputs = [network(torch.from_numpy(array))[0, -1] for array in (clip, changed)]
    assert states == 0 or not torch.allclose(*outputs), "the network reads only the current frame"


@pytest.mark.parametrize("taps", [2, 3])
def test_a_causal_convolution_of_volumes_streams(taps, clip):
    states = assert_streams_as_it_sees_a_clip(built(Volumes(taps)), clip)
    assert [state.op for state in states] == ["first", "second"]


def test_a_recurrent_layer_within_frames_keeps_no_state(clip):
    states = assert_streams_as_it_sees_a_clip(built(Rows()), clip)
    assert [state.op for state in states] == ["time"]


@pytest.mark.parametrize("name", REFUSED)
def test_layers_that_read_more_than_the_past_are_refused_by_name(name):
    make, words = REFUSED[name]
    with pytest.raises(ExportError, match=words) as refusal:
        streamed(built(make()))
    assert "\n" not in str(refusal.value)
    assert re.search("cannot be streamed", str(refusal.value))


def test_a_state_names_the_layer_that_it_belongs_to(clip):
    states = assert_streams_as_it_sees_a_clip(built(OverTime(Left(3, 2), Chomp(2))), clip)
    assert [(state.op, state.shape) for state in states] == [
        ("body.tcn.0.conv1", (1, CHANNELS, 4)),
        ("body.tcn.1.conv1", (1, CHANNELS, 1)),
    ]


def test_a_plain_recurrent_layer_is_one_operator_and_equal():
    network = built(Recurrent(nn.RNN, bidirectional=True, num_layers=2, batch_first=True))
    graph = trace(network, torch.zeros(1, FRAMES, 3, 5, 5))
    run_passes(graph, STANDARD)
    assert [node.op_type for node in graph.graph].count("RNN") == 2
    clip = np.random.default_rng(2).standard_normal((1, FRAMES, 3, 5, 5), dtype=np.float32)
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    with torch.no_grad():
        expected = network(torch.from_numpy(clip)).numpy()
    np.testing.assert_allclose(session.run(None, {"clip": clip})[0], expected, rtol=1e-4, atol=1e-5)


def test_a_projection_of_an_lstm_is_refused_by_its_layer():
    with pytest.raises(ExportError, match=r"layer 'body\.rnn' is an LSTM with proj_size"):
        trace(built(Recurrent(nn.LSTM, proj_size=2)), torch.zeros(1, FRAMES, 3, 5, 5))
