"""The frozen records that travel between the rooms of the program.

Standard library only: everything here can be imported on a device without torch, onnx or numpy. Beside them
stand ``registry``, entries by name, and ``records``, which decodes JSON of strangers into them.
Shapes are tuples of integers; a dimension that is free is a string such as ``"N"``.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypedDict

from edgevid.specs.target import Device as Device
from edgevid.specs.target import Gpu as Gpu
from edgevid.specs.target import PowerSource as PowerSource
from edgevid.specs.target import Target as Target

SCHEMA_VERSION = 2
"""Version of the bundle manifest: 2 has a file with its hash, and no key that is not in the records below."""

PARITY = "parity.npz"
"""The file of a bundle that holds an example with the eager network's outputs."""

PLAN = "plan.json"
"""The file of a bundle for TensorRT that says how each of its operators is built on the board."""

CACHE = "cache"
"""The folder of a bundle for files built from it on a device; not part of the export, so not hashed."""

LOCAL = "local"
"""The device that is this machine; others are addresses, such as ``rpc://HOST:PORT/KEY``."""

TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.2}
"""The largest distance to eager PyTorch, max|a-b| / max|b|, at which an export is taken for equal.

Of int8 that is a coarse bound: a deep network amplifies the rounding of its first layers, so
``LOCAL_TOLERANCE`` judges each layer as well. With random weights, sound int8 was seen at 0.02 to 0.15 on
textured videos, but at 0.25 for tsm_mbv2_online on plain stripes, of which some layers then stay in float.
"""

LOCAL_TOLERANCE = 0.1
"""The largest ||a-b|| / ||b|| of a product in int8 whose input is exact, over clips that were held out.

Sound ranges gave at most 0.07 (ResNet-50, MobileNetV2, LCNetV2, random weights); one range that is a quarter
of what it should be, or 50 times as much, gave 0.12 to 0.98.
"""


LOGITS = "logits"
"""The output of a classifier, by name."""


@dataclass(frozen=True)
class TensorSpec:
    """A named tensor: ``layout`` names its axes (``NTCHW``), ``unit`` says what a value means."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float32"
    layout: str = ""
    unit: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape, each free axis at 1."""
        return tuple(size if isinstance(size, int) else 1 for size in self.shape)


@dataclass(frozen=True)
class StateSpec:
    """What a streaming network remembers between two frames: fed as ``input``, returned as ``output``.

    ``op`` is the temporal op it belongs to; every state starts at ``initial`` (zero).
    """

    input: str
    output: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    op: str = ""
    initial: float = 0.0


@dataclass(frozen=True)
class Preprocessing:
    """From a decoded RGB frame to network input: short side, centre crop, scale to [0, 1], normalise.

    ``mean`` and ``std`` are in the order of ``color``; ``source`` says in words whose they are, and why.
    """

    short_side: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    color: str = "RGB"
    sampling: str = "segments"
    source: str = ""

    def describe(self) -> str:
        """How colors become numbers, and why, in words."""
        mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"{self.color}, mean {mean}, std {std}" + (f" ({self.source})" if self.source else "")

    def at_size(self, crop: int) -> Preprocessing:
        """The same recipe for another crop in pixels; the short side keeps its ratio to the crop."""
        return replace(self, crop=crop, short_side=round(self.short_side * crop / self.crop))


@dataclass(frozen=True)
class Facts:
    """What a network is made of: parameters, multiply-adds of one standard input, temporal ops by kind.

    ``fixed`` names the layer that holds a number, of those of batch, frames and size that are not free.
    """

    parameters: int
    macs: int
    temporal_ops: dict[str, int] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """A network of the zoo, as ``edgevid list models`` knows it without importing torch.

    ``builder`` is ``package.module:callable``; it is called with ``options``, with ``frames`` unless the
    ``input`` is an "image", and with ``num_classes`` unless ``classes`` is 0, a network without a classifier.
    ``forward`` takes a clip ``(N, T, channels, H, W)``, or an image ``(N, channels, H, W)``, and returns
    logits ``(N, classes)`` or, with several outputs, a dict by name of tensors whose first axis is N, or N*T
    frames. ``frames`` and ``size`` (pixels) are its standard input, ``smallest`` the frames and size of the
    least input that shows all that it does. ``online`` names the causal variant of a network that looks into
    the future. ``published`` gives the accuracy that its source reports, in a sentence with the protocol;
    empty if none is known. A network of someone else's package may have no ``facts``.
    """

    name: str
    title: str
    builder: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)
    input: str = "clip"
    frames: int = 8
    size: int = 224
    channels: int = 3
    classes: int = 400
    smallest: tuple[int, int] = (3, 64)
    causal: bool = False
    online: str | None = None
    published: str = ""
    preprocessing: Preprocessing = Preprocessing()
    facts: Facts | None = None

    def __post_init__(self) -> None:
        if self.input not in ("clip", "image"):
            raise ValueError(f"the input of {self.name} is a clip or an image, not {self.input!r}")

    @property
    def layout(self) -> str:
        return "NCHW" if self.input == "image" else "NTCHW"

    def input_shape(self, frames: int, size: int) -> tuple[int, ...]:
        """Of one clip of ``frames``, or of one image, of ``size`` pixels."""
        frame = (self.channels, size, size)
        return (1, *frame) if self.input == "image" else (1, frames, *frame)


@dataclass(frozen=True)
class PassReport:
    """What one rewrite did: how often it matched, and why it left other places alone."""

    name: str
    matched: int
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parity:
    """Distance between an export and the eager float32 network: ``max_rel`` is max|a-b| / max|b|.

    Of int8 it is over ``clips`` held-out clips, on whose share ``top1_agreement`` the best class is the same;
    ``local_error`` is the largest of any layer that gets exact inputs (see ``LOCAL_TOLERANCE``).
    """

    max_abs: float
    max_rel: float
    tolerance: float
    clips: int = 1
    top1_agreement: float | None = None
    local_error: float | None = None

    @property
    def ok(self) -> bool:
        return self.max_rel <= self.tolerance and (self.local_error or 0.0) <= LOCAL_TOLERANCE

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no infinity: an infinite distance is null."""
        values = {key: None if value in (None, math.inf) else value for key, value in asdict(self).items()}
        if self.top1_agreement is None and self.local_error is None:
            values = {key: values[key] for key in ("max_abs", "max_rel", "tolerance")}
        return {**values, "ok": self.ok}


@dataclass(frozen=True)
class Artefact:
    """A model file of a bundle: ``purpose`` says what takes it, ``parity`` how it was checked here.

    ``opened_by`` is the backend that checked it, and that opens it on a machine like the one it was made on.
    """

    file: str
    precision: str
    purpose: str
    opened_by: str
    parity: Parity | None = None


@dataclass(frozen=True)
class Weights:
    """Where the parameters came from (a file's name and SHA-256, or a seed), how many, how many bytes."""

    source: str
    parameters: int
    size_bytes: int
    sha256: str = ""


class CalibrationRecord(TypedDict, total=False):
    """How the ranges of int8 were measured: on how many clips of how many videos, chosen by ``seed``.

    ``outliers`` is the share of each tensor's numbers that the ranges leave out, ``held_out`` how many clips
    judged them, ``skipped`` says in sentences which videos could not be read. ``float_layers`` are those that
    int8 would put too far from float, by their path in the network, with the reason; they stay in float.
    """

    videos: int
    clips: int
    held_out: int
    outliers: float
    seed: int
    skipped: list[str]
    float_layers: dict[str, str]


class PlanRecord(TypedDict, total=False):
    """Sums of a fused plan of ``file``: whose ``plan`` it is, its ``kernels``, and ``copies`` among them.

    These are None where there is none, and ``why_none`` says why. ``forms`` are those of the temporal ops.
    """

    file: str
    target_compute_capability: str
    why_none: str
    plan: str | None
    kernels: int | None
    copies: int | None
    activation_bytes: int
    build_seconds: float
    forms: dict[str, str]


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` of a bundle says.

    ``target`` is the device that was asked for, never one that was observed. ``model_file`` is the
    artefact of the asked ``precision``, and ``parity`` is that file's. ``not_run`` lists in
    sentences what could not be tried where the bundle was made, and ``warnings`` what is odd about the
    network. ``labels`` names the label set, whose text is the bundle's ``labels.txt``. ``calibration`` is
    empty but for int8, ``plan`` but for TensorRT, whose file ``plan.json`` has the kernels one by one.
    ``files`` maps each other file to its SHA-256. ``edgevid.bundle.manifest`` reads and checks it, and says
    how to add a field.
    """

    model: str
    target: str
    backend: str
    precision: str
    streaming: bool
    frames: int
    classes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...]
    preprocessing: Preprocessing
    weights: Weights
    macs: int
    parity: Parity
    artefacts: tuple[Artefact, ...]
    model_file: str = "model.onnx"
    labels: str | None = None
    source: str = ""
    passes: tuple[PassReport, ...] = ()
    kernels: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    calibration: CalibrationRecord = field(default_factory=CalibrationRecord)
    plan: PlanRecord = field(default_factory=PlanRecord)
    tools: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    created: str = ""
    schema: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Availability:
    """Whether something can be used on this machine; if not, ``why`` and how to ``mend`` it."""

    ok: bool
    what: str = ""
    why: str = ""
    mend: str = ""
