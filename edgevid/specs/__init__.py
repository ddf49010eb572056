"""The frozen records that packages of edgevid exchange.

Standard library only: everything here can be imported on a device without torch, onnx or numpy. ``registry``
has entries by name, and ``records`` decodes untrusted JSON into records.
Shapes are tuples of integers; a free dimension is a string such as ``"N"``.
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
"""Version of the bundle manifest; from 2 on files have hashes, and unknown keys are errors."""

PARITY = "parity.npz"
"""The file of a bundle with an example and the eager network's outputs."""

PLAN = "plan.json"
"""The file of a TensorRT bundle with the engine layer info of its model."""

CACHE = "cache"
"""The folder of a bundle for files built on a device; not part of the export, so not hashed."""

LOCAL = "local"
"""This machine as a device; others are addresses, such as ``rpc://HOST:PORT/KEY``."""

TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.2}
"""The largest error against eager PyTorch, max|a-b| / max|b|, of an export that counts as equal.

For int8 it is a coarse bound: a deep network amplifies the rounding of its first layers, so each layer is
held to ``LOCAL_TOLERANCE`` as well. With random weights, correct int8 gave 0.02 to 0.15 on textured videos,
but 0.25 for tsm_mbv2_online on plain stripes; some of its layers then stay in float.
"""

LOCAL_TOLERANCE = 0.1
"""The largest per-layer error, ||a-b|| / ||b|| of an int8 layer with exact inputs, over held-out clips.

Correct ranges gave at most 0.07 (ResNet-50, MobileNetV2, LCNetV2, random weights); one range at a quarter, or
at 50 times, of the correct one gave 0.12 to 0.98.
"""


LOGITS = "logits"
"""The name of a classifier's output."""


def bundle_name(model: str, target: str, backend: str, streaming: bool) -> str:
    """The name of a bundle's folder, unless the user chooses another."""
    return f"{model}.{target}.{backend}{'.stream' if streaming else ''}"


@dataclass(frozen=True)
class TensorSpec:
    """A named tensor: ``layout`` names its axes (``NTCHW``), ``unit`` the unit of its values."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float32"
    layout: str = ""
    unit: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape, with 1 for each free axis."""
        return tuple(size if isinstance(size, int) else 1 for size in self.shape)


@dataclass(frozen=True)
class StateSpec:
    """A state of a streaming network between two frames: fed as ``input``, returned as ``output``.

    ``op`` is the temporal op that it belongs to; it starts at ``initial`` (zero).
    """

    input: str
    output: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    op: str = ""
    initial: float = 0.0


@dataclass(frozen=True)
class Preprocessing:
    """From a decoded RGB frame to network input: short side, center crop, scale to [0, 1], normalize.

    ``mean`` and ``std`` are in the order of ``color``; ``source`` describes their origin.
    """

    short_side: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    color: str = "RGB"
    sampling: str = "segments"
    source: str = ""

    def describe(self) -> str:
        """Color order, mean and standard deviation, with their origin, as text."""
        mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"{self.color}, mean {mean}, std {std}" + (f" ({self.source})" if self.source else "")

    def at_size(self, crop: int) -> Preprocessing:
        """The same for another crop in pixels; the short side keeps its ratio to the crop."""
        return replace(self, crop=crop, short_side=round(self.short_side * crop / self.crop))


@dataclass(frozen=True)
class Facts:
    """Numbers of a network: parameters, MACs of one standard input, temporal ops by type.

    ``fixed`` names, for each of batch, frames and size that is not free, the layer that fixes it.
    """

    parameters: int
    macs: int
    temporal_ops: dict[str, int] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """A network of the zoo, for ``edgevid list models`` without importing torch.

    ``builder`` is ``package.module:callable``; it is called with ``options``, with ``frames`` unless the
    ``input`` is an "image", and with ``num_classes`` unless ``classes`` is 0, a network without a classifier.
    ``forward`` takes a clip ``(N, T, channels, H, W)``, or an image ``(N, channels, H, W)``, and returns
    logits ``(N, classes)`` or, with several outputs, a dict by name of tensors whose first axis is N, or N*T
    frames. ``frames`` and ``size`` (pixels) are its standard input, ``smallest`` the frames and size of the
    smallest input that exercises every op. ``online`` names the causal variant of a network that reads future
    frames. A causal classifier also has ``frame_logits(clip)``, ``(N, T, classes)``, of which ``forward``
    returns the mean over T. ``published`` is the accuracy that its source reports, in a sentence with the
    protocol, or empty. A network of another package may have no ``facts``.
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
        """The shape of one clip of ``frames`` frames, or of one image, of ``size`` pixels."""
        frame = (self.channels, size, size)
        return (1, *frame) if self.input == "image" else (1, frames, *frame)


@dataclass(frozen=True)
class PassReport:
    """The result of a rewrite: the number of matches, and why other candidates were refused."""

    name: str
    matched: int
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parity:
    """The error of an export against the eager float32 network: ``max_rel`` is max|a-b| / max|b|.

    For int8 it is over ``clips`` held-out clips, ``top1_agreement`` is the share of them with the same best
    class, and ``local_error`` the largest per-layer error (see ``LOCAL_TOLERANCE``).
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
        """For JSON, which has no infinity: an infinite error is null."""
        values = {key: None if value in (None, math.inf) else value for key, value in asdict(self).items()}
        if self.top1_agreement is None and self.local_error is None:
            values = {key: values[key] for key in ("max_abs", "max_rel", "tolerance")}
        return {**values, "ok": self.ok}


@dataclass(frozen=True)
class Artefact:
    """A model file of a bundle: ``purpose`` names the runtimes that take it, ``parity`` is its check.

    ``opened_by`` is the backend that checked it, and that opens it on a machine like the one that exported
    it.
    """

    file: str
    precision: str
    purpose: str
    opened_by: str
    parity: Parity | None = None


@dataclass(frozen=True)
class Weights:
    """The origin of the parameters (a file's name and SHA-256, or a seed), their number and size."""

    source: str
    parameters: int
    size_bytes: int
    sha256: str = ""


class CalibrationRecord(TypedDict, total=False):
    """The int8 calibration: the numbers of ``videos`` and ``clips``, chosen by ``seed``.

    ``outliers`` is the share of each tensor's values outside the ranges (percentile calibration),
    ``held_out`` the number of clips for the check, ``preprocessing`` "exact" or "fast", ``skipped`` the
    unreadable videos, in sentences. ``float_layers`` maps a layer that stays in float to the reason.
    """

    videos: int
    clips: int
    held_out: int
    outliers: float
    seed: int
    preprocessing: str
    skipped: list[str]
    float_layers: dict[str, str]


class PlanRecord(TypedDict, total=False):
    """Sums of the engine layer info of ``file``: the builder (``plan``), ``kernels``, ``copies`` among them.

    These are None if it could not be built, for the reason in ``why_none``. ``forms`` has the lowering
    variants of the temporal ops.
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
    """The content of a bundle's ``manifest.json``.

    ``target`` is the requested device, never an observed one. ``model_file`` is the artefact of the requested
    ``precision``, and ``parity`` is that file's. ``not_run`` lists in sentences what could not be tried where
    the bundle was made, and ``warnings`` what is unusual about the network. ``labels`` names the label set,
    whose text is the bundle's ``labels.txt``. ``calibration`` is empty except for int8, ``plan`` except for
    TensorRT, where ``plan.json`` has each kernel. ``files`` maps each other file to its SHA-256.
    ``edgevid.bundle.manifest`` reads and checks it, and describes how to add a field.
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
    """Whether something can be used on this machine; if not, the reason ``why`` and the ``remedy``."""

    ok: bool
    what: str = ""
    why: str = ""
    remedy: str = ""
